/* adopt.c - a connection on its way, apart from the ring and from TLS: whoever adopts or refuses
 * one (a fanout in the simulator too) needs no more than this. */
#include <stdlib.h>

#include "net/port.h"

void net_adopt_free(struct net_adopt *a)
{
    if (a == NULL)
        return;
    if (a->tls != NULL)
        a->free_tls(a->tls);
    if (a->free_owner_data != NULL)
        a->free_owner_data(a->owner_data);
    free(a->leftover);
    free(a->late);
    free(a);
}
