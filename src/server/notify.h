/* server/notify.h - tells the service manager. Source: sd_notify(3). Without NOTIFY_SOCKET nothing
 * happens. */
#ifndef PARLEY_SERVER_NOTIFY_H
#define PARLEY_SERVER_NOTIFY_H

void notify_manager(const char *state); /* "READY=1", "STOPPING=1", "RELOADING=1" */

#endif
