/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* KIND-create and KIND-create-as, of snapshots and of checkpoints: one of a document, many of
 * a document or of a folder, one of options. */

#include <json-c/json.h>
#include <vmpoint/vmpoint.h>

#include "cli/parser.h"
#include "cli/spec.h"

/* What differs between the kinds. */
typedef struct {
    const char *kind; /* its word, in messages */
    const char *root; /* of a document that has many */
    char *(*format)(const VmpPointSpec *spec, GError **error);
    /* Makes the one that @xml says (NULL: all is left to defaults); its name, and what --json
     * says of it. */
    char *(*create)(VmpSession *session, const VmpArguments *arguments, const char *xml,
                    json_object **result, GError **error);
    gint64 (*redefine_all)(VmpHost *host, const char *domain, guint flags, VmpReadFunc read,
                           gpointer data, VmpOperation *operation, GError **error);
    gint64 (*redefine_folder)(VmpHost *host, const char *domain, guint flags,
                              const char *folder, VmpOperation *operation, GError **error);
} VmpNewPointKind;

gboolean vmp_new_point_create(const VmpNewPointKind *kind, VmpSession *session,
                              const VmpArguments *arguments, GError **error);
/* @spec: what the options say. */
gboolean vmp_new_point_create_as(const VmpNewPointKind *kind, VmpSession *session,
                                 const VmpArguments *arguments, const VmpPointSpec *spec,
                                 GError **error);
