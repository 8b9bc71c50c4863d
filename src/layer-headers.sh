#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Lays out DIR so that only the named layers can be included from it:
#   layer-headers.sh SOURCE_DIR DIR LAYER...
set -eu
source=$1
dir=$2
shift 2
rm -rf "$dir"
mkdir -p "$dir"
for layer in "$@"; do
    ln -s "$source/$layer" "$dir/$layer"
done
