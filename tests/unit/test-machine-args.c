/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/args.h"

static const char *
at(GPtrArray *words, guint index)
{
    g_assert_cmpuint(index, <, words->len);
    return g_ptr_array_index(words, index);
}

static void
the_guest_sees_only_its_half_of_an_option(void)
{
    g_autoptr(VmpArgs) args = vmp_args_new();
    VmpOption *option = vmp_option_new("-device", "virtio-blk-pci");

    vmp_option_guest(option, "addr", "0x%x", 4);
    vmp_option_host(option, "drive", "%s-format", "vda");
    vmp_option_guest_uint(option, "num-queues", 0);
    vmp_option_guest_text(option, "serial", NULL);
    vmp_args_take(args, option);

    g_assert_cmpuint(args->whole->len, ==, 2);
    g_assert_cmpstr(at(args->whole, 0), ==, "-device");
    g_assert_cmpstr(at(args->whole, 1), ==, "virtio-blk-pci,addr=0x4,drive=vda-format");
    g_assert_cmpuint(args->guest->len, ==, 1);
    g_assert_cmpstr(at(args->guest, 0), ==, "-device virtio-blk-pci,addr=0x4");
}

static void
a_comma_in_a_value_is_doubled(void)
{
    g_autoptr(VmpArgs) args = vmp_args_new();
    VmpOption *option = vmp_option_new("-name", "");

    vmp_option_host(option, "guest", "a,b,,c");
    vmp_args_take_host(args, option);
    g_assert_cmpstr(at(args->whole, 1), ==, "guest=a,,b,,,,c");
    g_assert_cmpuint(args->guest->len, ==, 0);
}

static void
an_option_that_is_dropped_leaves_nothing(void)
{
    g_autoptr(VmpArgs) args = vmp_args_new();

    vmp_option_drop(vmp_option_new("-global", ""));
    g_assert_cmpuint(args->whole->len, ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/machine/args/the-guest-sees-only-its-half-of-an-option",
                    the_guest_sees_only_its_half_of_an_option);
    g_test_add_func("/machine/args/a-comma-in-a-value-is-doubled",
                    a_comma_in_a_value_is_doubled);
    g_test_add_func("/machine/args/an-option-that-is-dropped-leaves-nothing",
                    an_option_that_is_dropped_leaves_nothing);
    return g_test_run();
}
