/* SPDX-License-Identifier: 0BSD
 *
 * Starts a checkpoint on all disks of a domain at one instant, and says what is to be
 * done when that does not work: the code of an error is for programs.
 *
 *   cc checkpoint.c $(pkg-config --cflags --libs vmpoint) -o checkpoint && ./checkpoint DOMAIN
 */
#include <stdio.h>
#include <vmpoint/vmpoint.h>

static const char *
what_next(int code)
{
    switch (code) {
    case VMP_ERROR_BUSY:
        return "try again later";
    case VMP_ERROR_REFUSED:
        return "nothing has changed";
    case VMP_ERROR_DISCONNECTED:
    case VMP_ERROR_TIMED_OUT:
        return "in doubt; the next command for this domain settles it";
    default:
        return "read the message";
    }
}

int
main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DOMAIN\n", argv[0]);
        return VMP_ERROR_INVALID;
    }

    g_autoptr(GError) error = NULL;
    g_autoptr(VmpOperation) operation = vmp_operation_new();
    g_autoptr(VmpHost) host = vmp_host_open(NULL, NULL, &error);
    g_autofree char *name =
        host ? vmp_checkpoint_create(host, argv[1], NULL, 0, operation, &error) : NULL;

    if (!name) {
        fprintf(stderr, "error: %s (%s)\n", error->message, what_next(error->code));
        return error->code;
    }
    printf("%s\n", name);
    return 0;
}
