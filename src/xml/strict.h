/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Closed elements: what is not listed is refused.
 *
 * libvirt validates checkpoint and backup documents against a schema before it reads
 * them.  This is the part of a schema that those two need.
 */

#include "xml/reader.h"

/* @attributes and @children are names with blanks between; "name*" may be given many
 * times, other children once.  Text other than blanks is refused unless @children is
 * NULL, which stands for an element of text without children. */
gboolean vmp_xml_closed(const xmlNode *node, const char *attributes, const char *children,
                        GError **error);

/* The attribute is one of the words of @words, or absent. */
gboolean vmp_xml_attribute_in(const xmlNode *node, const char *name, const char *words,
                              GError **error);

/* TRUE if @word is one of the words of @words, which have blanks between. */
gboolean vmp_xml_is_word_of(const char *word, const char *words);

/* What libvirt's schemas call a disk target: fd, hd, sd, vd, xvd or ubd, and at least one
 * letter, digit or underscore. */
gboolean vmp_xml_is_disk_target(const char *name);

/* Every image format, and those that can have a backing file: words with blanks. */
#define VMP_IMAGE_FORMATS_BACKED "cow qcow qcow2 qed vmdk"
#define VMP_IMAGE_FORMATS \
    "raw dir bochs cloop dmg iso vpc vdi fat vhd ploop luks " VMP_IMAGE_FORMATS_BACKED
