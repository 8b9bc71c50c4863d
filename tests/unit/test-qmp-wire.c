/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/error.h"
#include "qmp/wire.h"

typedef struct {
    VmpQmpWire *wire;
    GQueue messages;
    GError *error;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer limit)
{
    fixture->wire = vmp_qmp_wire_new(limit ? GPOINTER_TO_SIZE(limit) : VMP_QMP_MESSAGE_LIMIT);
}

static void
drop_message(gpointer message)
{
    json_object_put(message);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    vmp_qmp_wire_free(fixture->wire);
    g_queue_clear_full(&fixture->messages, drop_message);
    g_clear_error(&fixture->error);
}

static gboolean
feed(Fixture *fixture, const char *bytes, gsize length)
{
    return vmp_qmp_wire_feed(fixture->wire, bytes, length, &fixture->messages,
                             &fixture->error);
}

static gboolean
feed_text(Fixture *fixture, const char *text)
{
    return feed(fixture, text, strlen(text));
}

/* Takes the oldest message and compares it. */
static void
assert_message(Fixture *fixture, const char *expected)
{
    g_autoptr(VmpJson) message = g_queue_pop_head(&fixture->messages);
    g_assert_nonnull(message);

    g_autofree char *text = vmp_json_to_text(message);
    g_assert_cmpstr(text, ==, expected);
}

static void
assert_lie(Fixture *fixture, gboolean fed)
{
    g_assert_false(fed);
    g_assert_error(fixture->error, VMP_ERROR, VMP_ERROR_INVALID);
    g_clear_error(&fixture->error);
    g_assert_false(feed_text(fixture, "{}"));
    g_assert_error(fixture->error, VMP_ERROR, VMP_ERROR_INVALID);
    g_assert_null(g_queue_peek_head(&fixture->messages));
}

static void
test_one_message(Fixture *fixture, gconstpointer data)
{
    g_assert_true(feed_text(fixture, "{\"return\": {}}\r\n"));
    assert_message(fixture, "{\"return\":{}}");
    g_assert_false(vmp_qmp_wire_is_inside_message(fixture->wire));
}

static void
test_several_in_one_piece(Fixture *fixture, gconstpointer data)
{
    g_assert_true(feed_text(fixture, "  {\"a\":1}{\"b\":2}\r\n\t{\"c\":3"));
    assert_message(fixture, "{\"a\":1}");
    assert_message(fixture, "{\"b\":2}");
    g_assert_true(g_queue_is_empty(&fixture->messages));
    g_assert_true(vmp_qmp_wire_is_inside_message(fixture->wire));

    g_assert_true(feed_text(fixture, "}"));
    assert_message(fixture, "{\"c\":3}");
    g_assert_false(vmp_qmp_wire_is_inside_message(fixture->wire));
}

#define AWKWARD                                                                           \
    "{\"n\":-12.5e3,\"s\":\"}{\\\"\\\\ \\u00e9 \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"," \
    "\"l\":[true,false,null,[],{}]}\r\n"

static void
test_any_pieces(Fixture *fixture, gconstpointer data)
{
    const gsize length = strlen(AWKWARD);

    g_assert_true(feed(fixture, AWKWARD, length));
    g_autoptr(VmpJson) whole = g_queue_pop_head(&fixture->messages);
    g_assert_nonnull(whole);

    for (gsize size = 1; size < length; size++) {
        for (gsize at = 0; at < length; at += size)
            g_assert_true(feed(fixture, &AWKWARD[at], MIN(size, length - at)));
        g_autoptr(VmpJson) pieced = g_queue_pop_head(&fixture->messages);
        g_assert_true(json_object_equal(whole, pieced));
    }
}

static void
test_not_json(Fixture *fixture, gconstpointer data)
{
    static const char *const lies[] = {
        "HTTP/1.1 400 Bad Request\r\n",
        "{\"return\": }",
        "{\"return\": {}]",
        "[1]",
        "7 ",
        "{\"a\":1,}",
        "{\"a\": tru3}",
        "{\"a\" 1}",
        "{\"a\": \"\\x\"}",
    };

    for (guint i = 0; i < G_N_ELEMENTS(lies); i++) {
        Fixture own = { 0 };
        set_up(&own, NULL);
        assert_lie(&own, feed_text(&own, lies[i]));
        tear_down(&own, NULL);
    }
}

static void
test_not_utf8(Fixture *fixture, gconstpointer data)
{
    static const char *const lies[] = {
        "{\"a\":\"\xff\"}",         /* no UTF-8 at all */
        "{\"a\":\"\xc3(\"}",        /* a character cut short */
        "{\"a\":\"\xa9\"}",         /* the rest of one */
        "{\"a\":\"\xc0\x80\"}",     /* overlong */
        "{\"a\":\"\xed\xa0\x80\"}", /* half of a surrogate pair */
    };

    for (guint i = 0; i < G_N_ELEMENTS(lies); i++) {
        for (gsize size = 1; size < 12; size++) {
            Fixture own = { 0 };
            const gsize length = strlen(lies[i]);
            gboolean fed = TRUE;

            set_up(&own, NULL);
            for (gsize at = 0; fed && at < length; at += size)
                fed = feed(&own, lies[i] + at, MIN(size, length - at));
            assert_lie(&own, fed);
            tear_down(&own, NULL);
        }
    }
}

static void
test_nul_byte(Fixture *fixture, gconstpointer data)
{
    assert_lie(fixture, feed(fixture, "{\"a\":\0 1}", 9));
}

static void
test_lie_names_excerpt(Fixture *fixture, gconstpointer data)
{
    g_assert_false(feed_text(fixture, "HTTP/1.1 400 Bad Request\r\n"));
    g_assert_nonnull(strstr(fixture->error->message, "HTTP/1.1 400 Bad Request\\r\\n"));
}

static void
test_messages_before_a_lie(Fixture *fixture, gconstpointer data)
{
    g_assert_false(feed_text(fixture, "{\"a\":1}\n{\"b\":2}\nSegmentation fault\n"));
    assert_message(fixture, "{\"a\":1}");
    assert_message(fixture, "{\"b\":2}");
}

static void
test_limit(Fixture *fixture, gconstpointer limit)
{
    const char exact[] = "{\"a\":\"0123456789012\"}"; /* 21 bytes */
    const char above[] = "{\"a\":\"01234567890123\"}";

    g_assert_cmpuint(strlen(exact), ==, GPOINTER_TO_SIZE(limit));
    for (guint i = 0; i < 3; i++) {
        g_assert_true(feed_text(fixture, exact));
        assert_message(fixture, exact);
    }
    assert_lie(fixture, feed_text(fixture, above));
}

static void
test_limit_counts_pieces(Fixture *fixture, gconstpointer limit)
{
    g_assert_true(feed_text(fixture, "{\"a\":\"01234"));
    g_assert_true(feed_text(fixture, "5678901234"));
    assert_lie(fixture, feed_text(fixture, "5678901234"));
}

static void
test_deep(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < 1000; i++)
        g_string_append(text, "{\"a\":");
    g_string_append_c(text, '1');
    for (guint i = 0; i < 1000; i++)
        g_string_append_c(text, '}');
    g_assert_true(feed(fixture, text->str, text->len));
    g_assert_cmpuint(fixture->messages.length, ==, 1);

    for (guint i = 0; i < 100; i++)
        g_string_prepend(text, "{\"a\":");
    g_assert_false(feed(fixture, text->str, text->len));
}

/* Twice the bytes must not take much more than twice the time.  Counting bytes that
 * the parser looks at is not possible from here; a generous bound on the time is what
 * a quadratic rescan of 8 MiB in 1 KiB pieces (some 32 GiB) cannot keep. */
static void
test_no_rescan(Fixture *fixture, gconstpointer data)
{
    const gsize size = 8 * 1024 * 1024;
    g_autofree char *piece = g_strnfill(1024, 'x');
    const gint64 begin = g_get_monotonic_time();

    g_assert_true(feed_text(fixture, "{\"return\":\""));
    for (gsize fed = 0; fed < size; fed += 1024)
        g_assert_true(feed(fixture, piece, 1024));
    g_assert_true(feed_text(fixture, "\"}"));

    g_autoptr(VmpJson) message = g_queue_pop_head(&fixture->messages);
    g_assert_cmpint(json_object_get_string_len(vmp_json_get(message, "return")), ==, size);
    g_assert_cmpint(g_get_monotonic_time() - begin, <, 20 * G_USEC_PER_SEC);
}

#define TEST(name, func, limit) \
    g_test_add("/qmp/wire/" name, Fixture, GSIZE_TO_POINTER(limit), set_up, func, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST("a-message-is-an-object", test_one_message, 0);
    TEST("several-messages-may-come-in-one-piece", test_several_in_one_piece, 0);
    TEST("a-message-may-come-in-pieces-of-any-size", test_any_pieces, 0);
    TEST("what-is-no-json-object-is-a-lie", test_not_json, 0);
    TEST("what-is-no-utf8-is-a-lie", test_not_utf8, 0);
    TEST("a-nul-byte-is-a-lie", test_nul_byte, 0);
    TEST("a-lie-is-quoted", test_lie_names_excerpt, 0);
    TEST("messages-before-a-lie-count", test_messages_before_a_lie, 0);
    TEST("a-message-may-be-as-long-as-the-limit-and-no-longer", test_limit, 21);
    TEST("the-limit-counts-all-pieces-of-a-message", test_limit_counts_pieces, 21);
    TEST("a-backing-chain-of-a-thousand-may-nest", test_deep, 0);
    TEST("each-byte-is-looked-at-once", test_no_rescan, 0);
    return g_test_run();
}
