/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/args.h"

#include <stdarg.h>

struct _VmpOption {
    char *flag;
    GString *whole, *guest;
};

VmpArgs *
vmp_args_new(void)
{
    VmpArgs *args = g_new0(VmpArgs, 1);

    args->whole = g_ptr_array_new_with_free_func(g_free);
    args->guest = g_ptr_array_new_with_free_func(g_free);
    return args;
}

void
vmp_args_free(VmpArgs *args)
{
    if (!args)
        return;
    g_ptr_array_unref(args->whole);
    g_ptr_array_unref(args->guest);
    g_free(args);
}

void
vmp_args_add_host(VmpArgs *args, const char *flag, const char *value)
{
    g_ptr_array_add(args->whole, g_strdup(flag));
    if (value)
        g_ptr_array_add(args->whole, g_strdup(value));
}

/* In the guest's half flag and value are one word, which can be compared by itself. */
static void
add_guest_word(VmpArgs *args, const char *flag, const char *value)
{
    g_ptr_array_add(args->guest, value ? g_strconcat(flag, " ", value, NULL) : g_strdup(flag));
}

void
vmp_args_add_guest(VmpArgs *args, const char *flag, const char *value)
{
    vmp_args_add_host(args, flag, value);
    add_guest_word(args, flag, value);
}

VmpOption *
vmp_option_new(const char *flag, const char *first)
{
    VmpOption *option = g_new0(VmpOption, 1);

    option->flag = g_strdup(flag);
    option->whole = g_string_new(first);
    option->guest = g_string_new(first);
    return option;
}

static void
append_part(GString *line, const char *key, const char *value)
{
    if (line->len > 0)
        g_string_append_c(line, ',');
    g_string_append_printf(line, "%s=", key);
    for (; *value; value++) {
        g_string_append_c(line, *value);
        if (*value == ',')
            g_string_append_c(line, ',');
    }
}

void
vmp_option_host_text(VmpOption *option, const char *key, const char *value)
{
    if (value)
        append_part(option->whole, key, value);
}

void
vmp_option_guest_text(VmpOption *option, const char *key, const char *value)
{
    if (value)
        append_part(option->guest, key, value);
    vmp_option_host_text(option, key, value);
}

void
vmp_option_guest_uint(VmpOption *option, const char *key, guint value)
{
    if (value > 0)
        vmp_option_guest(option, key, "%u", value);
}

void
vmp_option_guest(VmpOption *option, const char *key, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *value = g_strdup_vprintf(format, args);
    va_end(args);
    vmp_option_guest_text(option, key, value);
}

void
vmp_option_host(VmpOption *option, const char *key, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *value = g_strdup_vprintf(format, args);
    va_end(args);
    vmp_option_host_text(option, key, value);
}

void
vmp_option_drop(VmpOption *option)
{
    g_free(option->flag);
    g_string_free(option->whole, TRUE);
    g_string_free(option->guest, TRUE);
    g_free(option);
}

void
vmp_args_take_host(VmpArgs *args, VmpOption *option)
{
    vmp_args_add_host(args, option->flag, option->whole->str);
    vmp_option_drop(option);
}

void
vmp_args_take(VmpArgs *args, VmpOption *option)
{
    add_guest_word(args, option->flag, option->guest->str);
    vmp_args_take_host(args, option);
}
