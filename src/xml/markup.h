/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Writes XML the way libvirt does: two blanks a level, single quotes, the five
 * predefined entities.
 *
 * Characters that XML cannot hold are left out, as libvirt leaves them out.  Blanks
 * that a parser would fold (line ends in attributes, carriage returns) become character
 * references: what is written is what is read back.
 */

#include <glib.h>

typedef struct {
    GString *text;
    guint depth;
    gboolean in_tag; /* the start tag can still take attributes */
} VmpMarkup;

/* FALSE if something of @text would be left out. */
gboolean vmp_markup_can_hold(const char *text);

/* Within quotes, and between tags; free with g_free(). */
char *vmp_markup_escape_attribute(const char *value);
char *vmp_markup_escape_text(const char *text);

/* An empty document; end it with vmp_markup_finish(). */
VmpMarkup vmp_markup_begin(void);
/* The document, ending with a newline.  Free with g_free(). */
char *vmp_markup_finish(VmpMarkup *markup);

/* Opens an element; attributes may follow until something else is written. */
void vmp_markup_open(VmpMarkup *markup, const char *name);
/* Nothing is written for @value NULL. */
void vmp_markup_attribute(VmpMarkup *markup, const char *name, const char *value);
void vmp_markup_attribute_int(VmpMarkup *markup, const char *name, gint64 value);
/* Ends the innermost element, which is @name; "<a/>" if nothing is in it. */
void vmp_markup_close(VmpMarkup *markup, const char *name);
/* The same with nothing but @text in it, which is not NULL. */
void vmp_markup_close_text(VmpMarkup *markup, const char *name, const char *text);
/* "<name>text</name>"; nothing for @text NULL. */
void vmp_markup_element(VmpMarkup *markup, const char *name, const char *text);
void vmp_markup_element_int(VmpMarkup *markup, const char *name, gint64 value);
/* Markup as it is, indented in front of its first byte only; nothing for NULL. */
void vmp_markup_verbatim(VmpMarkup *markup, const char *xml);
