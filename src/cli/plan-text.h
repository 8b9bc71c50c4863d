/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A plan (vmp_operation_get_plan()) for people. */

#include <glib.h>
#include <json-c/json.h>

/* The steps in their order with what each sends to QEMU, the space they need and the
 * risks.  NULL is a plan with no steps.  Free with g_free(). */
char *vmp_plan_to_text(const char *plan);
/* The array of risks, or NULL; drop with json_object_put(). */
json_object *vmp_plan_get_risks(const char *plan);
