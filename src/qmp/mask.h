/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Text of QMP messages that may be shown: passwords and keys replaced by "***". */

#include "base/json.h"

/* Compact text of @message; free with g_free(). */
char *vmp_qmp_masked_text(VmpJson *message);
