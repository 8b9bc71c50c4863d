/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/parser.h"

#include <string.h>
#include <vmpoint/error.h>

#include "cli/suggest.h"

struct _VmpArguments {
    const VmpOption *options;
    GPtrArray **given; /* by option: NULL = not given, else its values, NULL-terminated */
    guint count;
};

static guint
count_options(const VmpOption *options)
{
    guint count = 0;

    while (options[count].name)
        count++;
    return count;
}

VmpArguments *
vmp_arguments_new(const VmpOption *options)
{
    VmpArguments *arguments = g_new0(VmpArguments, 1);

    arguments->options = options;
    arguments->count = count_options(options);
    arguments->given = g_new0(GPtrArray *, arguments->count);
    return arguments;
}

void
vmp_arguments_free(VmpArguments *arguments)
{
    if (!arguments)
        return;
    for (guint i = 0; i < arguments->count; i++)
        g_clear_pointer(&arguments->given[i], g_ptr_array_unref);
    g_free(arguments->given);
    g_free(arguments);
}

static GPtrArray **
slot_of(const VmpArguments *arguments, const VmpOption *option)
{
    return &arguments->given[option - arguments->options];
}

static GPtrArray *
values_of(const VmpArguments *arguments, const char *name)
{
    const VmpOption *option = vmp_option_find(arguments->options, name);

    if (!option)
        g_error("no option --%s in this table", name);
    return *slot_of(arguments, option);
}

gboolean
vmp_arguments_has(const VmpArguments *arguments, const char *name)
{
    return values_of(arguments, name) != NULL;
}

const char *
vmp_arguments_get(const VmpArguments *arguments, const char *name)
{
    GPtrArray *values = values_of(arguments, name);

    return values && values->len > 0 ? g_ptr_array_index(values, 0) : NULL;
}

const char *const *
vmp_arguments_get_list(const VmpArguments *arguments, const char *name)
{
    static const char *const none[] = { NULL };
    GPtrArray *values = values_of(arguments, name);

    return values && values->len > 0 ? (const char *const *)values->pdata : none;
}

guint
vmp_arguments_get_bits(const VmpArguments *arguments)
{
    guint bits = 0;

    for (guint i = 0; i < arguments->count; i++) {
        if (arguments->given[i])
            bits |= arguments->options[i].bit;
    }
    return bits;
}

const VmpOption *
vmp_arguments_next_positional(const VmpArguments *arguments)
{
    for (guint i = 0; i < arguments->count; i++) {
        const VmpOption *option = &arguments->options[i];
        gboolean room = !arguments->given[i] || option->type == VMP_OPTION_LIST;

        if ((option->use & VMP_OPTION_POSITIONAL) && room)
            return option;
    }
    return NULL;
}

/* @value NULL: the option was given without one. */
static void
arguments_add(VmpArguments *arguments, const VmpOption *option, const char *value)
{
    GPtrArray **slot = slot_of(arguments, option);

    if (!*slot)
        *slot = g_ptr_array_new_null_terminated(1, NULL, TRUE);
    if (value)
        g_ptr_array_add(*slot, (gpointer)value);
}

const VmpCommand *
vmp_command_find(const VmpCommandGroup *groups, const char *name)
{
    for (; groups->keyword; groups++) {
        for (const VmpCommand *command = groups->commands; command->name; command++) {
            if (g_str_equal(command->name, name))
                return command;
        }
    }
    return NULL;
}

const VmpOption *
vmp_option_find(const VmpOption *options, const char *name)
{
    for (; options->name; options++) {
        if (g_str_equal(options->name, name))
            return options;
    }
    return NULL;
}

void
vmp_command_line_free(VmpCommandLine *line)
{
    if (!line)
        return;
    vmp_arguments_free(line->globals);
    vmp_arguments_free(line->arguments);
    g_free(line);
}

/* A positional word can be given to its option only when all named ones are known:
 * `snapshot-list --from s1 vm` is `snapshot-list vm --from s1`. */
typedef struct {
    const VmpOption *option; /* NULL: a positional word */
    const char *value;
} Entry;

typedef struct {
    VmpCommandLine *line;
    const VmpOption *globals;
    const VmpCommandGroup *groups;
    const char *const *words; /* the one to be read next */
    GArray *entries;          /* of Entry: the command's, in their order */
} Parser;

static gboolean fail(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

static gboolean
fail(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (error)
        *error = g_error_new_valist(VMP_ERROR, VMP_ERROR_INVALID, format, args);
    va_end(args);
    return FALSE;
}

static gboolean
fail_unknown_command(const VmpCommandGroup *groups, const char *name, GError **error)
{
    g_autoptr(VmpSuggester) suggester = vmp_suggester_new(name);

    for (const VmpCommandGroup *group = groups; group->keyword; group++) {
        for (const VmpCommand *command = group->commands; command->name; command++) {
            if (!command->hidden)
                vmp_suggester_offer(suggester, command->name);
        }
    }
    const char *nearest = vmp_suggester_get(suggester);
    if (nearest)
        return fail(error, "unknown command '%s'; did you mean '%s'?", name, nearest);
    return fail(error, "unknown command '%s'; 'vmpoint help' lists all", name);
}

static gboolean
fail_unknown_option(Parser *parser, const char *name, GError **error)
{
    const VmpCommand *command = parser->line->command;
    g_autoptr(VmpSuggester) suggester = vmp_suggester_new(name);

    for (const VmpOption *option = command ? command->options : parser->globals; option->name;
         option++)
        vmp_suggester_offer(suggester, option->name);
    for (const VmpOption *option = parser->globals; option->name; option++)
        vmp_suggester_offer(suggester, option->name);

    g_autofree char *owner =
        command ? g_strdup_printf("'%s'", command->name) : g_strdup("vmpoint");
    const char *nearest = vmp_suggester_get(suggester);
    if (nearest)
        return fail(error, "%s has no option --%s; did you mean --%s?", owner, name, nearest);
    return fail(error, "%s has no option --%s", owner, name);
}

static gboolean
add_once(VmpArguments *arguments, const VmpOption *option, const char *value, GError **error)
{
    if (*slot_of(arguments, option))
        return fail(error, "option --%s was given twice", option->name);
    arguments_add(arguments, option, value);
    return TRUE;
}

static gboolean
record(Parser *parser, gboolean global, const VmpOption *option, const char *value,
       GError **error)
{
    Entry entry = { option, value };

    if (global)
        return add_once(parser->line->globals, option, value, error);
    g_array_append_val(parser->entries, entry);
    return TRUE;
}

/* Reads the value of @option, whose own word is read already; @attached is what stood
 * behind the `=`, if there was one. */
static gboolean
take_value(Parser *parser, gboolean global, const VmpOption *option, const char *attached,
           GError **error)
{
    const char *value = attached;

    if (option->type == VMP_OPTION_FLAG && attached)
        return fail(error, "option --%s takes no value", option->name);
    if ((option->type == VMP_OPTION_STRING || option->type == VMP_OPTION_LIST) && !attached) {
        value = *parser->words;
        if (!value) {
            parser->line->awaiting = option;
            return fail(error, "option --%s needs a value: --%s <%s>", option->name,
                        option->name, option->value ? option->value : "string");
        }
        parser->words++;
    }
    if (value && *value == '\0' && !(option->use & VMP_OPTION_MAY_BE_EMPTY))
        return fail(error, "option --%s has an empty value", option->name);
    return record(parser, global, option, value, error);
}

static gboolean
take_long_option(Parser *parser, const char *word, GError **error)
{
    const char *text = word + 2;
    const char *equals = strchr(text, '=');
    g_autofree char *name = equals ? g_strndup(text, (gsize)(equals - text)) : g_strdup(text);
    const VmpCommand *command = parser->line->command;
    const VmpOption *option = command ? vmp_option_find(command->options, name) : NULL;
    gboolean global = !option;

    if (global)
        option = vmp_option_find(parser->globals, name);
    if (!option)
        return fail_unknown_option(parser, name, error);
    return take_value(parser, global, option, equals ? equals + 1 : NULL, error);
}

static const VmpOption *
find_letter(const VmpOption *options, const char *word)
{
    if (word[0] != '-' || word[1] == '\0' || word[2] != '\0')
        return NULL;
    for (; options->name; options++) {
        if (options->letter == word[1])
            return options;
    }
    return NULL;
}

static gboolean
take_word(Parser *parser, const char *word, GError **error)
{
    VmpCommandLine *line = parser->line;

    if (line->command)
        return record(parser, FALSE, NULL, word, error);

    /* A command's name that starts with a dash is an option that we do not have. */
    if (word[0] == '-' && !line->only_words)
        return fail(error, "vmpoint has no option '%s'", word);

    line->command = vmp_command_find(parser->groups, word);
    line->unknown_command = !line->command;
    if (!line->command)
        return fail_unknown_command(parser->groups, word, error);
    line->arguments = vmp_arguments_new(line->command->options);
    return TRUE;
}

static gboolean
take_next(Parser *parser, GError **error)
{
    const char *word = *parser->words++;

    if (parser->line->only_words)
        return take_word(parser, word, error);
    if (g_str_equal(word, "--")) {
        parser->line->only_words = TRUE;
        return TRUE;
    }
    if (g_str_has_prefix(word, "--") && g_ascii_isalnum(word[2]))
        return take_long_option(parser, word, error);

    const VmpOption *option = find_letter(parser->globals, word);
    if (option)
        return take_value(parser, TRUE, option, NULL, error);
    return take_word(parser, word, error);
}

/* Gives each positional word to its option.  Lists keep the order of the line, so
 * the words of a list cannot simply follow the named ones: both kinds are added here. */
static gboolean
settle_words(VmpCommandLine *line, GArray *entries, GError **error)
{
    for (guint i = 0; i < entries->len; i++) {
        Entry *entry = &g_array_index(entries, Entry, i);

        if (!entry->option) {
            entry->option = vmp_arguments_next_positional(line->arguments);
            if (!entry->option)
                return fail(error, "'%s' does not take the argument '%s'", line->command->name,
                            entry->value);
            if (*entry->value == '\0' && !(entry->option->use & VMP_OPTION_MAY_BE_EMPTY))
                return fail(error, "argument <%s> of '%s' is empty", entry->option->name,
                            line->command->name);
        } else if (entry->option->type != VMP_OPTION_LIST) {
            continue;
        }
        arguments_add(line->arguments, entry->option, entry->value);
    }
    return TRUE;
}

static gboolean
settle(Parser *parser, GError **error)
{
    VmpCommandLine *line = parser->line;

    for (guint i = 0; i < parser->entries->len; i++) {
        const Entry *entry = &g_array_index(parser->entries, Entry, i);

        if (entry->option && entry->option->type != VMP_OPTION_LIST &&
            !add_once(line->arguments, entry->option, entry->value, error))
            return FALSE;
    }
    return settle_words(line, parser->entries, error);
}

static gboolean
check_required(const VmpCommandLine *line, GError **error)
{
    for (const VmpOption *option = line->command->options; option->name; option++) {
        if (!(option->use & VMP_OPTION_REQUIRED) ||
            vmp_arguments_has(line->arguments, option->name))
            continue;
        if (option->use & VMP_OPTION_POSITIONAL)
            return fail(error, "'%s' needs <%s>", line->command->name, option->name);
        if (option->type == VMP_OPTION_FLAG)
            return fail(error, "'%s' needs --%s", line->command->name, option->name);
        return fail(error, "'%s' needs --%s <%s>", line->command->name, option->name,
                    option->value ? option->value : "string");
    }
    return TRUE;
}

static char *
join_options(char **names, const char *last_word)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; names[i]; i++) {
        if (i > 0)
            g_string_append(text, names[i + 1] ? ", " : last_word);
        g_string_append_printf(text, "--%s", names[i]);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* At most one of @names was given. */
static gboolean
check_exclusive(const VmpArguments *arguments, char **names, GError **error)
{
    const char *first = NULL;

    for (; *names; names++) {
        if (!vmp_arguments_has(arguments, *names))
            continue;
        if (first)
            return fail(error, "options --%s and --%s are mutually exclusive", first, *names);
        first = *names;
    }
    return TRUE;
}

static gboolean
has_any(const VmpArguments *arguments, char **names)
{
    for (; *names; names++) {
        if (vmp_arguments_has(arguments, *names))
            return TRUE;
    }
    return FALSE;
}

static gboolean
check_first_excludes(const VmpArguments *arguments, char **names, GError **error)
{
    if (!vmp_arguments_has(arguments, names[0]))
        return TRUE;
    for (guint i = 1; names[i]; i++) {
        if (vmp_arguments_has(arguments, names[i]))
            return fail(error, "options --%s and --%s are mutually exclusive", names[0],
                        names[i]);
    }
    return TRUE;
}

static gboolean
check_rule(const VmpCommandLine *line, const VmpRule *rule, GError **error)
{
    g_auto(GStrv) names = g_strsplit(rule->options, " ", -1);
    g_autofree char *choice = NULL;

    switch (rule->kind) {
    case VMP_RULE_NONE:
        break;
    case VMP_RULE_EXACTLY_ONE:
        if (!has_any(line->arguments, names)) {
            choice = join_options(names, " or ");
            return fail(error, "'%s' needs %s", line->command->name, choice);
        }
        return check_exclusive(line->arguments, names, error);
    case VMP_RULE_AT_MOST_ONE:
        return check_exclusive(line->arguments, names, error);
    case VMP_RULE_FIRST_EXCLUDES:
        return check_first_excludes(line->arguments, names, error);
    case VMP_RULE_FIRST_NEEDS:
        if (vmp_arguments_has(line->arguments, names[0]) &&
            !has_any(line->arguments, names + 1)) {
            choice = join_options(names + 1, " or ");
            return fail(error, "option --%s needs %s", names[0], choice);
        }
        break;
    }
    return TRUE;
}

static gboolean
check_rules(const VmpCommandLine *line, GError **error)
{
    const VmpRule *rule = line->command->rules;

    for (; rule && rule->kind != VMP_RULE_NONE; rule++) {
        if (!check_rule(line, rule, error))
            return FALSE;
    }
    return TRUE;
}

/* Help and version are asked for by people whose line is not complete yet. */
static gboolean
asks_for_help(const VmpCommandLine *line, const VmpOption *globals)
{
    static const char *const names[] = { "help", "version" };

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        if (vmp_option_find(globals, names[i]) && vmp_arguments_has(line->globals, names[i]))
            return TRUE;
    }
    return FALSE;
}

static void
parser_init(Parser *parser, const VmpOption *globals, const VmpCommandGroup *groups,
            const char *const *words)
{
    *parser = (Parser){
        .line = g_new0(VmpCommandLine, 1),
        .globals = globals,
        .groups = groups,
        .words = words,
        .entries = g_array_new(FALSE, FALSE, sizeof(Entry)),
    };
    parser->line->globals = vmp_arguments_new(globals);
}

static void
parser_clear(Parser *parser)
{
    vmp_command_line_free(parser->line);
    g_array_unref(parser->entries);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Parser, parser_clear)

VmpCommandLine *
vmp_command_line_parse(const VmpOption *globals, const VmpCommandGroup *groups,
                       const char *const *words, GError **error)
{
    g_auto(Parser) parser;
    parser_init(&parser, globals, groups, words);
    VmpCommandLine *line = parser.line;

    while (*parser.words) {
        if (!take_next(&parser, error))
            return NULL;
    }
    if (!line->command || asks_for_help(line, globals))
        return g_steal_pointer(&parser.line);
    if (!settle(&parser, error) || !check_required(line, error) || !check_rules(line, error))
        return NULL;
    return g_steal_pointer(&parser.line);
}

VmpCommandLine *
vmp_command_line_parse_incomplete(const VmpOption *globals, const VmpCommandGroup *groups,
                                  const char *const *words)
{
    g_auto(Parser) parser;
    parser_init(&parser, globals, groups, words);

    while (*parser.words)
        take_next(&parser, NULL);
    if (parser.line->command)
        settle(&parser, NULL);
    return g_steal_pointer(&parser.line);
}
