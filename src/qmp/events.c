/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmp/events.h"

typedef struct {
    guint id;
    char *event; /* NULL = all */
    VmpQmpEventFunc func;
    gpointer data;
} Subscription;

struct _VmpQmpEvents {
    GPtrArray *subscriptions; /* their ids ascend */
    guint last_id;
    VmpJson *current; /* NULL if there is none */
    guint served;     /* the last subscription that has it ... */
    guint until;      /* ... and the last that gets it */
};

static void
subscription_free(Subscription *subscription)
{
    g_free(subscription->event);
    g_free(subscription);
}

VmpQmpEvents *
vmp_qmp_events_new(void)
{
    VmpQmpEvents *events = g_new0(VmpQmpEvents, 1);

    events->subscriptions = g_ptr_array_new_with_free_func((GDestroyNotify)subscription_free);
    return events;
}

void
vmp_qmp_events_free(VmpQmpEvents *events)
{
    g_ptr_array_unref(events->subscriptions);
    json_object_put(events->current);
    g_free(events);
}

guint
vmp_qmp_events_subscribe(VmpQmpEvents *events, const char *event, VmpQmpEventFunc func,
                         gpointer data)
{
    Subscription *subscription = g_new0(Subscription, 1);

    *subscription = (Subscription){
        .id = ++events->last_id,
        .event = g_strdup(event),
        .func = func,
        .data = data,
    };
    g_ptr_array_add(events->subscriptions, subscription);
    return subscription->id;
}

void
vmp_qmp_events_unsubscribe(VmpQmpEvents *events, guint id)
{
    for (guint i = 0; i < events->subscriptions->len; i++) {
        const Subscription *subscription = g_ptr_array_index(events->subscriptions, i);
        if (subscription->id == id) {
            g_ptr_array_remove_index(events->subscriptions, i);
            return;
        }
    }
}

void
vmp_qmp_events_begin(VmpQmpEvents *events, VmpJson *message)
{
    g_assert(!events->current);
    events->current = json_object_get(message);
    events->served = 0;
    events->until = events->last_id;
}

gboolean
vmp_qmp_events_is_current(const VmpQmpEvents *events)
{
    return events->current != NULL;
}

static const Subscription *
next_subscription(const VmpQmpEvents *events)
{
    const char *name = vmp_json_get_string(events->current, "event");

    for (guint i = 0; i < events->subscriptions->len; i++) {
        const Subscription *subscription = g_ptr_array_index(events->subscriptions, i);
        if (subscription->id > events->served && subscription->id <= events->until &&
            (!subscription->event || g_str_equal(subscription->event, name)))
            return subscription;
    }
    return NULL;
}

static gint64
read_timestamp(VmpJson *event)
{
    VmpJson *timestamp = vmp_json_get_object(event, "timestamp");

    return vmp_json_get_int(timestamp, "seconds", 0) * G_USEC_PER_SEC +
           vmp_json_get_int(timestamp, "microseconds", 0);
}

void
vmp_qmp_events_serve(VmpQmpEvents *events, VmpQmpClient *client)
{
    /* A callback may get us called again; the event is its own until it returns. */
    g_autoptr(VmpJson) event = json_object_get(events->current);
    const Subscription *subscription;

    while (events->current && (subscription = next_subscription(events))) {
        events->served = subscription->id;
        subscription->func(client, vmp_json_get_string(event, "event"),
                           vmp_json_get(event, "data"), read_timestamp(event),
                           subscription->data);
    }
    g_clear_pointer(&events->current, json_object_put);
}
