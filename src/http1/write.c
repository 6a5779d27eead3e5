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
                   {206, "Partial Content"},
                   {304, "Not Modified"},
                   {400, "Bad Request"},
                   {401, "Unauthorized"},
                   {403, "Forbidden"},
                   {404, "Not Found"},
                   {405, "Method Not Allowed"},
                   {408, "Request Timeout"},
                   {409, "Conflict"},
                   {410, "Gone"},
                   {412, "Precondition Failed"},
                   {413, "Content Too Large"},
                   {414, "URI Too Long"},
                   {415, "Unsupported Media Type"},
                   {416, "Range Not Satisfiable"},
                   {417, "Expectation Failed"},
                   {426, "Upgrade Required"},
                   {429, "Too Many Requests"},
                   {431, "Request Header Fields Too Large"},
                   {500, "Internal Server Error"},
                   {501, "Not Implemented"},
                   {503, "Service Unavailable"},
                   {505, "HTTP Version Not Supported"},
                   {507, "Insufficient Storage"}};
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

/* Whole characters only. */
static struct str_view cut_name(struct str_view name)
{
    if (name.len <= http_filename_max)
        return name;
    size_t n = http_filename_max;
    while (n > 0 && ((unsigned char)name.p[n] & 0xc0) == 0x80)
        n--;
    return (struct str_view){name.p, n};
}

/* What some client would take for more than a letter of a name, or would not read. */
static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && strchr("\"\\%/:*?<>|", c) == NULL;
}

/* RFC 8187 3.2.1: attr-char */
static bool is_attr_char(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != 0 && strchr("!#$&+-.^_`|~", c) != NULL);
}

void http_write_disposition(struct buf *b, bool is_inline, struct str_view name)
{
    static const char digits[] = "0123456789ABCDEF";
    bool ascii = true;
    name = name.len == 0 ? SV("file") : cut_name(name);
    buf_printf(b, "Content-Disposition: %s; filename=\"", is_inline ? "inline" : "attachment");
    for (size_t i = 0; i < name.len; i++) {
        bool plain = is_plain((unsigned char)name.p[i]);
        bool inner = ((unsigned char)name.p[i] & 0xc0) == 0x80; /* one _ for a character */
        ascii &= plain;
        if (!inner)
            buf_putc(b, plain ? name.p[i] : '_');
    }
    buf_putc(b, '"');
    if (!ascii)
        buf_put(b, "; filename*=UTF-8''", 19);
    for (size_t i = 0; i < name.len && !ascii; i++) {
        unsigned char c = (unsigned char)name.p[i];
        if (is_attr_char(c)) {
            buf_putc(b, (char)c);
        } else {
            buf_putc(b, '%');
            buf_putc(b, digits[c >> 4]);
            buf_putc(b, digits[c & 15]);
        }
    }
    buf_put(b, "\r\n", 2);
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
