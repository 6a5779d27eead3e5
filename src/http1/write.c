#include "http1/write.h"

#include <time.h>

const char *http_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {{100, "Continue"},
                   {101, "Switching Protocols"},
                   {200, "OK"},
                   {204, "No Content"},
                   {400, "Bad Request"},
                   {401, "Unauthorized"},
                   {403, "Forbidden"},
                   {404, "Not Found"},
                   {405, "Method Not Allowed"},
                   {408, "Request Timeout"},
                   {409, "Conflict"},
                   {413, "Content Too Large"},
                   {414, "URI Too Long"},
                   {415, "Unsupported Media Type"},
                   {417, "Expectation Failed"},
                   {426, "Upgrade Required"},
                   {429, "Too Many Requests"},
                   {431, "Request Header Fields Too Large"},
                   {500, "Internal Server Error"},
                   {501, "Not Implemented"},
                   {503, "Service Unavailable"},
                   {505, "HTTP Version Not Supported"}};
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        if (reasons[i].status == status)
            return reasons[i].reason;
    }
    return "Unknown";
}

void http_write_status(struct buf *b, int status)
{
    if (LIKELY(status == 200)) {
        buf_put(b, "HTTP/1.1 200 OK\r\n", 17);
        return;
    }
    buf_printf(b, "HTTP/1.1 %d %s\r\n", status, http_reason(status));
}

void http_write_field(struct buf *b, const char *name, struct str_view value)
{
    for (size_t i = 0; i < value.len; i++)
        ASSERT(value.p[i] != '\r' && value.p[i] != '\n' && value.p[i] != '\0');
    buf_put(b, name, strlen(name));
    buf_put(b, ": ", 2);
    buf_put_sv(b, value);
    buf_put(b, "\r\n", 2);
}

void http_write_field_u64(struct buf *b, const char *name, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    http_write_field(b, name, (struct str_view){digits + at, sizeof digits - at});
}

void http_write_date(struct buf *b, uint64_t wall_us)
{
    static __thread time_t formatted;
    static __thread char text[32];
    static __thread size_t len;
    time_t now = (time_t)(wall_us / 1000000);
    if (now != formatted || len == 0) {
        struct tm tm;
        gmtime_r(&now, &tm);
        len = strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        formatted = now;
    }
    http_write_field(b, "Date", (struct str_view){text, len});
}

void http_write_end(struct buf *b)
{
    buf_put(b, "\r\n", 2);
}
