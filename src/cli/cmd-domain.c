/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Commands that define, run and end domains. */

#include "cli/commands.h"
#include "cli/input.h"
#include "cli/session.h"

static gboolean
run_define(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *file = vmp_arguments_get(arguments, "file");
    gsize length = 0;
    g_autofree char *xml = vmp_input_read(file, &length, error);
    VmpHost *host = xml ? vmp_session_open(session, error) : NULL;

    if (!host)
        return FALSE;
    g_autofree char *name = vmp_domain_define(host, xml, (gssize)length,
                                              vmp_session_get_operation(session), error);
    if (!name)
        return FALSE;
    vmp_session_finish(session, vmp_result_new(name, NULL), "Domain '%s' defined from %s\n",
                       name, file);
    return TRUE;
}

static gboolean
run_undefine(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *domain = vmp_arguments_get(arguments, "domain");
    VmpHost *host = vmp_session_open(session, error);

    if (!host || !vmp_domain_undefine(host, domain, vmp_arguments_get_bits(arguments),
                                      vmp_session_get_operation(session), error))
        return FALSE;
    vmp_session_finish(session, vmp_result_new(domain, NULL),
                       "Domain '%s' has been undefined\n", domain);
    return TRUE;
}

static gboolean
run_attach(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *name = vmp_arguments_get(arguments, "name");
    const char *file = vmp_arguments_get(arguments, "xml");
    g_autofree char *xml = file ? vmp_input_read_text(file, error) : NULL;

    if (file && !xml)
        return FALSE;
    VmpHost *host = vmp_session_open(session, error);
    if (!host || !vmp_domain_attach(host, name, vmp_arguments_get(arguments, "qmp"),
                                    vmp_arguments_get(arguments, "agent"), xml,
                                    vmp_session_get_operation(session), error))
        return FALSE;
    vmp_session_finish(session, vmp_result_new(name, NULL), "Domain '%s' attached\n", name);
    return TRUE;
}

static gboolean
run_start(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *domain = vmp_arguments_get(arguments, "domain");
    VmpHost *host = vmp_session_open(session, error);

    if (!host || !vmp_domain_start(host, domain, vmp_arguments_get_bits(arguments),
                                   vmp_session_get_operation(session), error))
        return FALSE;
    vmp_session_finish(session, vmp_result_new(domain, NULL), "Domain '%s' started\n", domain);
    return TRUE;
}

static gboolean
run_destroy(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *domain = vmp_arguments_get(arguments, "domain");
    VmpHost *host = vmp_session_open(session, error);

    if (!host || !vmp_domain_destroy(host, domain, vmp_arguments_get_bits(arguments),
                                     vmp_session_get_operation(session), error))
        return FALSE;
    vmp_session_finish(session, vmp_result_new(domain, NULL), "Domain '%s' destroyed\n",
                       domain);
    return TRUE;
}

typedef gboolean (*Change)(VmpHost *host, const char *domain, VmpOperation *operation,
                           GError **error);

/* A change that needs nothing but the domain; @done goes behind its name. */
static gboolean
run_change(VmpSession *session, const VmpArguments *arguments, Change change, const char *done,
           GError **error)
{
    const char *domain = vmp_arguments_get(arguments, "domain");
    VmpHost *host = vmp_session_open(session, error);

    if (!host || !change(host, domain, vmp_session_get_operation(session), error))
        return FALSE;
    vmp_session_finish(session, vmp_result_new(domain, NULL), "Domain '%s' %s\n", domain,
                       done);
    return TRUE;
}

static gboolean
run_detach(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    return run_change(session, arguments, vmp_domain_detach, "detached", error);
}

static gboolean
run_shutdown(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *mode = vmp_arguments_get(arguments, "mode");

    if (mode && !g_str_equal(mode, "acpi")) {
        g_set_error(
            error, VMP_ERROR, VMP_ERROR_UNSUPPORTED,
            "shutdown mode '%s' is not supported: the power button ('acpi') is pressed", mode);
        return FALSE;
    }
    return run_change(session, arguments, vmp_domain_shutdown, "is being shutdown", error);
}

static gboolean
run_suspend(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    return run_change(session, arguments, vmp_domain_suspend, "suspended", error);
}

static gboolean
run_resume(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    return run_change(session, arguments, vmp_domain_resume, "resumed", error);
}

static gboolean
run_reset(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    return run_change(session, arguments, vmp_domain_reset, "was reset", error);
}

static const VmpOption only_domain[] = { VMP_DOMAIN_OPTION, VMP_OPTION_END };

static const VmpOption define_options[] = {
    VMP_POSITION("file", VMP_OPTION_REQUIRED, "file", VMP_COMPLETE_FILE,
                 "file with the <domain>; - is standard input"),
    VMP_OPTION_END,
};

static const VmpOption undefine_options[] = {
    VMP_DOMAIN_OPTION,
    VMP_FLAG("managed-save", "accepted: there never is a managed save image"),
    VMP_FLAG_BIT("snapshots-metadata", VMP_UNDEFINE_SNAPSHOTS_METADATA,
                 "forget its snapshots as well; their images stay"),
    VMP_FLAG_BIT("checkpoints-metadata", VMP_UNDEFINE_CHECKPOINTS_METADATA,
                 "forget its checkpoints as well; their bitmaps stay"),
    VMP_FLAG_BIT("nvram", VMP_UNDEFINE_NVRAM, "remove the file of firmware variables"),
    VMP_FLAG_BIT("keep-nvram", VMP_UNDEFINE_KEEP_NVRAM, "keep the file of firmware variables"),
    VMP_FLAG_BIT("tpm", VMP_UNDEFINE_TPM, "remove what the TPM remembers"),
    VMP_FLAG_BIT("keep-tpm", VMP_UNDEFINE_KEEP_TPM, "keep what the TPM remembers"),
    VMP_OPTION_END,
};

static const VmpRule undefine_rules[] = {
    { VMP_RULE_AT_MOST_ONE, "nvram keep-nvram" },
    { VMP_RULE_AT_MOST_ONE, "tpm keep-tpm" },
    { VMP_RULE_NONE, NULL },
};

static const VmpOption attach_options[] = {
    VMP_POSITION("name", VMP_OPTION_REQUIRED, "name", VMP_COMPLETE_NOTHING,
                 "what the domain is to be called"),
    { .name = "qmp",
      .type = VMP_OPTION_STRING,
      .use = VMP_OPTION_REQUIRED,
      .help = "socket of a QMP monitor",
      .value = "socket",
      .completes = VMP_COMPLETE_FILE },
    VMP_VALUE("agent", "socket", VMP_COMPLETE_FILE, "socket of the guest agent"),
    VMP_VALUE("xml", "file", VMP_COMPLETE_FILE, "its <domain>; - is standard input"),
    VMP_OPTION_END,
};

static const VmpOption start_options[] = {
    VMP_DOMAIN_OPTION,
    VMP_FLAG_BIT("paused", VMP_START_PAUSED, "leave the guest paused"),
    VMP_FLAG("force-boot", "accepted: there never is a managed save image to boot from"),
    VMP_FLAG_BIT("reset-nvram", VMP_START_RESET_NVRAM, "with fresh firmware variables"),
    VMP_OPTION_END,
};

static const VmpOption shutdown_options[] = {
    VMP_DOMAIN_OPTION,
    VMP_POSITION("mode", 0, "mode", VMP_COMPLETE_NOTHING, "how; acpi is the only mode"),
    VMP_OPTION_END,
};

static const VmpOption destroy_options[] = {
    VMP_DOMAIN_OPTION,
    VMP_FLAG_BIT("graceful", VMP_DESTROY_GRACEFUL, "fail rather than kill a QEMU that hangs"),
    VMP_OPTION_END,
};

const VmpCommand vmp_domain_commands[] = {
    { .name = "attach",
      .help = "adopt a QEMU that somebody else started",
      .description =
          "Makes the virtual machine behind a QMP socket a domain.  Without --xml it is "
          "described from what QEMU says of itself.",
      .options = attach_options,
      .changes = TRUE,
      .run = run_attach },
    { .name = "define",
      .help = "take in a domain from an XML file",
      .description =
          "Stores the definition of a domain, or replaces it.  The domain is not started.",
      .options = define_options,
      .changes = TRUE,
      .run = run_define },
    { .name = "destroy",
      .help = "end a domain at once",
      .description =
          "Ends QEMU without asking the guest.  QEMU stores its bitmaps if it still can.",
      .options = destroy_options,
      .changes = TRUE,
      .run = run_destroy },
    { .name = "detach",
      .help = "let go of an attached domain",
      .description = "Forgets how to reach an attached QEMU, which goes on running.",
      .options = only_domain,
      .changes = TRUE,
      .run = run_detach },
    { .name = "reset",
      .help = "reset a domain as by its button",
      .description = "Resets the virtual machine without asking the guest.",
      .options = only_domain,
      .changes = TRUE,
      .run = run_reset },
    { .name = "resume",
      .help = "let a suspended domain run on",
      .description = "Lets the processors of a suspended domain run on.",
      .options = only_domain,
      .changes = TRUE,
      .run = run_resume },
    { .name = "shutdown",
      .help = "ask the guest to shut down",
      .description = "Presses the power button and returns; the guest decides when it ends.",
      .options = shutdown_options,
      .changes = TRUE,
      .run = run_shutdown },
    { .name = "start",
      .help = "start a defined domain",
      .description = "Starts QEMU for a domain that is off.",
      .options = start_options,
      .changes = TRUE,
      .run = run_start },
    { .name = "suspend",
      .help = "pause a running domain",
      .description = "Stops the processors of a domain; its memory stays.",
      .options = only_domain,
      .changes = TRUE,
      .run = run_suspend },
    { .name = "undefine",
      .help = "forget a domain",
      .description =
          "Removes the definition of a domain.  Refused for a domain that is off and has "
          "snapshots or checkpoints, unless the options say that they may go as well.",
      .options = undefine_options,
      .rules = undefine_rules,
      .changes = TRUE,
      .run = run_undefine },
    { .name = NULL },
};
