/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The command line: which commands and options there are, and what was said.
 *
 * A command is a row of a table, its options are rows of another, and rules say
 * which options go together.  Parser, help, completion and the test of the manual
 * page all read the same tables.
 *
 * The grammar is virsh's: options before or after the positional words, `--name
 * VALUE` or `--name=VALUE`, positional words taken in the order of the table by
 * the options that may leave their name out and have not been named, `--` before
 * words that only look like options.  Only `--` followed by a letter or digit looks
 * like one, so that `-` is a file and "- a remark" a description.  The options of the
 * program itself may stand anywhere; a command's own option of the same name wins.
 */

#include <glib.h>

typedef enum {
    VMP_OPTION_FLAG,     /* --name */
    VMP_OPTION_STRING,   /* --name VALUE, once */
    VMP_OPTION_LIST,     /* --name VALUE, any number of times */
    VMP_OPTION_OPTIONAL, /* --name or --name=VALUE */
} VmpOptionType;

typedef enum {
    VMP_OPTION_POSITIONAL = 1 << 0, /* the name may be left out */
    VMP_OPTION_REQUIRED = 1 << 1,
    VMP_OPTION_MAY_BE_EMPTY = 1 << 2,
} VmpOptionUse;

/* What a shell may offer in place of the value. */
typedef enum {
    VMP_COMPLETE_NOTHING,
    VMP_COMPLETE_FILE,
    VMP_COMPLETE_DOMAIN,
    VMP_COMPLETE_SNAPSHOT,
    VMP_COMPLETE_CHECKPOINT,
    VMP_COMPLETE_DISK,
    VMP_COMPLETE_COMMAND,
} VmpCompletion;

typedef struct {
    const char *name; /* NULL ends a table */
    VmpOptionType type;
    guint use;
    const char *help;
    const char *value; /* what help calls the value; NULL = "string" */
    guint bit;         /* of a FLAG: the library's flag; 0 = none */
    VmpCompletion completes;
    char letter; /* -x for short; 0 = none */
} VmpOption;

typedef enum {
    VMP_RULE_NONE,           /* ends a table */
    VMP_RULE_AT_MOST_ONE,    /* of these */
    VMP_RULE_EXACTLY_ONE,    /* of these */
    VMP_RULE_FIRST_EXCLUDES, /* each of the others, which may go together */
    VMP_RULE_FIRST_NEEDS,    /* one of the others */
} VmpRuleKind;

typedef struct {
    VmpRuleKind kind;
    const char *options; /* names, separated by spaces */
} VmpRule;

typedef struct _VmpSession VmpSession;
typedef struct _VmpArguments VmpArguments;

typedef gboolean (*VmpCommandFunc)(VmpSession *session, const VmpArguments *arguments,
                                   GError **error);

typedef struct {
    const char *name;         /* NULL ends a table */
    const char *help;         /* one line, no full stop */
    const char *description;  /* sentences */
    const VmpOption *options; /* never NULL */
    const VmpRule *rules;     /* or NULL */
    gboolean changes;         /* has a plan, so that --dry-run means something */
    gboolean hidden;          /* for programs: not in the list of commands */
    VmpCommandFunc run;
} VmpCommand;

typedef struct {
    const char *keyword; /* NULL ends a table */
    const char *title;
    const VmpCommand *commands;
} VmpCommandGroup;

/* Option tables end with this. */
#define VMP_OPTION_END \
    {                  \
        .name = NULL   \
    }

/* Values borrow from argv. */
VmpArguments *vmp_arguments_new(const VmpOption *options);
void vmp_arguments_free(VmpArguments *arguments);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpArguments, vmp_arguments_free)

/* Asking for an option that the table has not is a bug of ours and aborts. */
gboolean vmp_arguments_has(const VmpArguments *arguments, const char *name);
/* NULL if it was not given, or without a value. */
const char *vmp_arguments_get(const VmpArguments *arguments, const char *name);
/* NULL-terminated, in the order of the command line; never NULL. */
const char *const *vmp_arguments_get_list(const VmpArguments *arguments, const char *name);
/* The bits of all flags that were given. */
guint vmp_arguments_get_bits(const VmpArguments *arguments);
/* The option that the next positional word would go to, or NULL. */
const VmpOption *vmp_arguments_next_positional(const VmpArguments *arguments);

typedef struct {
    VmpArguments *globals;
    const VmpCommand *command; /* NULL: none was named */
    VmpArguments *arguments;   /* NULL without a command */
    const VmpOption *awaiting; /* only of an incomplete line: it lacks its value */
    gboolean only_words;       /* `--` was seen */
    gboolean unknown_command;  /* only of an incomplete line: it names one that is not */
} VmpCommandLine;

void vmp_command_line_free(VmpCommandLine *line);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpCommandLine, vmp_command_line_free)

/* Parses @words (NULL-terminated, without the program's name).  VMP_ERROR_INVALID for
 * what does not parse or goes against the rules; rules are not looked at when
 * `--help` or `--version` was given. */
VmpCommandLine *vmp_command_line_parse(const VmpOption *globals, const VmpCommandGroup *groups,
                                       const char *const *words, GError **error);
/* The same for a line that is still being written: what is wrong is passed over. */
VmpCommandLine *vmp_command_line_parse_incomplete(const VmpOption *globals,
                                                  const VmpCommandGroup *groups,
                                                  const char *const *words);

const VmpCommand *vmp_command_find(const VmpCommandGroup *groups, const char *name);
const VmpOption *vmp_option_find(const VmpOption *options, const char *name);
