/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmp/mask.h"

#include <string.h>

#define MASK "***"

/* "key-secret", "password-secret" and the like are not here: they name an object. */
static const char *const secret_members[] = {
    "password", "passwd", "passphrase", "secret", "cookie", NULL,
};

/* secret, secret_keyring: "data" is the secret itself. */
static gboolean
is_secret_object(VmpJson *object)
{
    const char *type = vmp_json_get_string(object, "qom-type");

    return type && g_str_has_prefix(type, "secret");
}

static gboolean
must_hide(const char *member, VmpJson *value, gboolean in_secret_object)
{
    if (!json_object_is_type(value, json_type_string))
        return FALSE;
    return (in_secret_object && strcmp(member, "data") == 0) ||
           g_strv_contains(secret_members, member);
}

static VmpJson *masked_value(VmpJson *value, gboolean in_secret_object);

static VmpJson *
masked_object(VmpJson *object, gboolean in_secret_object)
{
    VmpJson *masked = json_object_new_object();
    /* Inherited too: older object-add had the properties one level below, in "props". */
    const gboolean secret = in_secret_object || is_secret_object(object);

    json_object_object_foreach(object, member, value)
    {
        json_object_object_add(masked, member,
                               must_hide(member, value, secret) ? json_object_new_string(MASK)
                                                                : masked_value(value, secret));
    }
    return masked;
}

static VmpJson *
masked_array(VmpJson *array, gboolean in_secret_object)
{
    VmpJson *masked = json_object_new_array();

    for (guint i = 0; i < vmp_json_length(array); i++)
        json_object_array_add(masked, masked_value(vmp_json_at(array, i), in_secret_object));
    return masked;
}

/* A new reference: a masked copy of what has members, else @value itself. */
static VmpJson *
masked_value(VmpJson *value, gboolean in_secret_object)
{
    if (json_object_is_type(value, json_type_object))
        return masked_object(value, in_secret_object);
    if (json_object_is_type(value, json_type_array))
        return masked_array(value, in_secret_object);
    return value ? json_object_get(value) : NULL;
}

char *
vmp_qmp_masked_text(VmpJson *message)
{
    g_autoptr(VmpJson) masked = masked_value(message, FALSE);

    return vmp_json_to_text(masked);
}
