/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmp/wire.h"

#include <string.h>

#include "base/error.h"

/* QEMU nests as deep as a backing chain is long (query-block: image, backing-image,
 * backing-image, ...); its own parser stops at 1024 as well. */
#define MAX_DEPTH 1024

/* How much of a liar's text an error message quotes. */
#define EXCERPT 60

struct _VmpQmpWire {
    struct json_tokener *tokener;
    gsize limit;
    gsize length; /* bytes of the unfinished message so far; 0 between messages */
    gboolean broken;
    /* The first bytes of a character whose others are still to come: only whole ones
     * can be checked. */
    char torn[4];
    gsize torn_length;
};

VmpQmpWire *
vmp_qmp_wire_new(gsize limit)
{
    VmpQmpWire *wire = g_new0(VmpQmpWire, 1);

    wire->tokener = json_tokener_new_ex(MAX_DEPTH);
    json_tokener_set_flags(wire->tokener,
                           JSON_TOKENER_STRICT | JSON_TOKENER_ALLOW_TRAILING_CHARS);
    wire->limit = limit;
    return wire;
}

void
vmp_qmp_wire_free(VmpQmpWire *wire)
{
    json_tokener_free(wire->tokener);
    g_free(wire);
}

gboolean
vmp_qmp_wire_is_inside_message(const VmpQmpWire *wire)
{
    return wire->length > 0;
}

static gboolean
fail(VmpQmpWire *wire, GError **error, const char *what, const char *bytes, gsize length)
{
    g_autofree char *text = g_strndup(bytes, MIN(length, EXCERPT));
    g_autofree char *excerpt = g_strescape(text, NULL);

    wire->broken = TRUE;
    return vmp_fail(error, VMP_ERROR_INVALID, "not a QMP message (%s): \"%s\"", what, excerpt);
}

/* Bytes that the character led by @lead has; 1 for what cannot lead one. */
static gsize
character_length(guchar lead)
{
    if (lead < 0xc2 || lead > 0xf4)
        return 1;
    if (lead >= 0xf0)
        return 4;
    return lead >= 0xe0 ? 3 : 2;
}

static gboolean
is_continuation(char byte)
{
    return ((guchar)byte & 0xc0) == 0x80;
}

/* Length of @bytes without a torn character at their end. */
static gsize
whole_characters(const char *bytes, gsize length)
{
    for (gsize back = 1; back <= MIN(length, 3); back++) {
        const char lead = bytes[length - back];
        if (!is_continuation(lead))
            return character_length((guchar)lead) > back ? length - back : length;
    }
    return length;
}

/* Parses up to the end of one message or of the bytes.  Returns how many were used,
 * or 0 on failure.  @length > 0, and there is a message to go on with. */
static gsize
parse_some(VmpQmpWire *wire, const char *bytes, gsize length, GQueue *messages, GError **error)
{
    const gsize room = wire->limit - wire->length;
    const gsize use = MIN(length, MIN(room, (gsize)G_MAXINT));

    if (use == 0) {
        g_autofree char *what = g_strdup_printf("longer than %zu bytes", wire->limit);
        fail(wire, error, what, bytes, length);
        return 0;
    }

    VmpJson *message = json_tokener_parse_ex(wire->tokener, bytes, (int)use);
    const enum json_tokener_error outcome = json_tokener_get_error(wire->tokener);

    if (outcome == json_tokener_continue) {
        wire->length += use;
        return use;
    }
    if (outcome != json_tokener_success) {
        fail(wire, error, json_tokener_error_desc(outcome), bytes, length);
        return 0;
    }
    g_queue_push_tail(messages, message);
    wire->length = 0;
    return json_tokener_get_parse_end(wire->tokener);
}

/* Feeds UTF-8. */
static gboolean
feed_text(VmpQmpWire *wire, const char *bytes, gsize length, GQueue *messages, GError **error)
{
    while (length > 0) {
        gsize used = 1;

        if (wire->length > 0 || *bytes == '{')
            used = parse_some(wire, bytes, length, messages, error);
        else if (!g_ascii_isspace(*bytes))
            return fail(wire, error, "no JSON object", bytes, length);

        if (used == 0)
            return FALSE;
        bytes += used;
        length -= used;
    }
    return TRUE;
}

/* Feeds whole characters, which need not be UTF-8.  GLib looks: json-c's own check
 * lets overlong forms and surrogates pass, which GLib and libxml2 choke on later. */
static gboolean
feed_whole(VmpQmpWire *wire, const char *bytes, gsize length, GQueue *messages, GError **error)
{
    const char *end = NULL;
    const gboolean valid = g_utf8_validate_len(bytes, length, &end);

    if (!feed_text(wire, bytes, (gsize)(end - bytes), messages, error))
        return FALSE;
    return valid || fail(wire, error, "not UTF-8", end, (gsize)(bytes + length - end));
}

/* Moves bytes from @bytes to the torn character until it is whole; returns how many. */
static gsize
mend_torn(VmpQmpWire *wire, const char *bytes, gsize length)
{
    const gsize wanted = character_length((guchar)wire->torn[0]) - wire->torn_length;
    const gsize taken = MIN(wanted, length);

    memcpy(wire->torn + wire->torn_length, bytes, taken);
    wire->torn_length += taken;
    return taken;
}

gboolean
vmp_qmp_wire_feed(VmpQmpWire *wire, const char *bytes, gsize length, GQueue *messages,
                  GError **error)
{
    if (wire->broken)
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "not a QMP message (nor was the one before)");

    if (wire->torn_length > 0) {
        const gsize taken = mend_torn(wire, bytes, length);
        bytes += taken;
        length -= taken;

        if (wire->torn_length < character_length((guchar)wire->torn[0]))
            return TRUE;
        const gsize mended = wire->torn_length;
        wire->torn_length = 0;
        if (!feed_whole(wire, wire->torn, mended, messages, error))
            return FALSE;
    }

    const gsize whole = whole_characters(bytes, length);
    if (!feed_whole(wire, bytes, whole, messages, error))
        return FALSE;
    wire->torn_length = length - whole;
    memcpy(wire->torn, bytes + whole, wire->torn_length);
    return TRUE;
}
