/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <vmpoint/types.h>

static const char *const state_names[] = {
    [VMP_STATE_NOSTATE] = "nostate",
    [VMP_STATE_RUNNING] = "running",
    [VMP_STATE_BLOCKED] = "blocked",
    [VMP_STATE_PAUSED] = "paused",
    [VMP_STATE_SHUTDOWN] = "shutdown",
    [VMP_STATE_SHUTOFF] = "shutoff",
    [VMP_STATE_CRASHED] = "crashed",
    [VMP_STATE_PMSUSPENDED] = "pmsuspended",
    [VMP_STATE_DISK_SNAPSHOT] = "disk-snapshot",
};

static const char *const location_names[] = {
    [VMP_LOCATION_UNSET] = NULL,          [VMP_LOCATION_NO] = "no",
    [VMP_LOCATION_INTERNAL] = "internal", [VMP_LOCATION_EXTERNAL] = "external",
    [VMP_LOCATION_MANUAL] = "manual",
};

/* NONE is the absence of a medium: it has a name to be shown, but nobody can ask for it. */
static const char *const storage_names[] = {
    [VMP_STORAGE_NONE] = NULL,         [VMP_STORAGE_FILE] = "file",
    [VMP_STORAGE_BLOCK] = "block",     [VMP_STORAGE_DIR] = "dir",
    [VMP_STORAGE_NETWORK] = "network", [VMP_STORAGE_VOLUME] = "volume",
    [VMP_STORAGE_NVME] = "nvme",       [VMP_STORAGE_VHOSTUSER] = "vhostuser",
};

static const char *
name_at(const char *const *names, guint count, guint value)
{
    return value < count ? names[value] : NULL;
}

static gboolean
find_name(const char *const *names, guint count, const char *name, guint *value)
{
    for (guint i = 0; name && i < count; i++) {
        if (names[i] && g_str_equal(names[i], name)) {
            *value = i;
            return TRUE;
        }
    }
    return FALSE;
}

const char *
vmp_state_name(VmpState state)
{
    return name_at(state_names, G_N_ELEMENTS(state_names), state);
}

gboolean
vmp_state_from_name(const char *name, VmpState *state)
{
    guint value = 0;

    if (!find_name(state_names, G_N_ELEMENTS(state_names), name, &value))
        return FALSE;
    *state = (VmpState)value;
    return TRUE;
}

const char *
vmp_location_name(VmpLocation location)
{
    return name_at(location_names, G_N_ELEMENTS(location_names), location);
}

gboolean
vmp_location_from_name(const char *name, VmpLocation *location)
{
    guint value = 0;

    if (!find_name(location_names, G_N_ELEMENTS(location_names), name, &value))
        return FALSE;
    *location = (VmpLocation)value;
    return TRUE;
}

const char *
vmp_storage_type_name(VmpStorageType type)
{
    return type == VMP_STORAGE_NONE
               ? "none"
               : name_at(storage_names, G_N_ELEMENTS(storage_names), type);
}

gboolean
vmp_storage_type_from_name(const char *name, VmpStorageType *type)
{
    guint value = 0;

    if (!find_name(storage_names, G_N_ELEMENTS(storage_names), name, &value))
        return FALSE;
    *type = (VmpStorageType)value;
    return TRUE;
}
