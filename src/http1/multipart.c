#include "http1/multipart.h"

#include "http1/form.h"
enum multipart_state {
    STATE_PREAMBLE,
    STATE_BEHIND, /* a boundary */
    STATE_HEAD,
    STATE_DATA,
    STATE_EPILOGUE,
    STATE_FAILED
};

enum { line_end_bytes = 2, head_first_bytes = 128 };

static bool is_control(unsigned char c)
{
    return (c < 0x20 && c != '\t') || c == 0x7f;
}

enum err multipart_init(struct multipart *m, struct arena *a, struct str_view content_type)
{
    struct str_view boundary = media_param(a, content_type, SV("boundary"));
    memset(m, 0, sizeof *m);
    m->arena = a;
    if (boundary.len == 0 || boundary.len > multipart_boundary_max)
        return ERR_INVALID_FORM_DATA;
    for (size_t i = 0; i < boundary.len; i++) { /* CR begins a delimiter, and stands only there */
        if (is_control((unsigned char)boundary.p[i]))
            return ERR_INVALID_FORM_DATA;
    }
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, boundary.p, boundary.len);
    m->delimiter_len = (uint32_t)(4 + boundary.len);
    /* A body may begin with a boundary: as if a line had ended before it. */
    m->matched = m->given = line_end_bytes;
    m->state = STATE_PREAMBLE;
    return ERR_OK;
}

static enum multipart_step fail(struct multipart *m, enum err err)
{
    m->state = STATE_FAILED;
    m->error = err;
    return MULTIPART_FAILED;
}

/* ---- heads ---- */

static bool read_field(struct multipart *m, struct str_view line)
{
    struct str_view value = line;
    struct str_view name = sv_cut(&value, ':');
    if (value.p == NULL)
        return false;
    value = sv_trim(value);
    if (sv_eq_nocase(name, SV("Content-Disposition"))) {
        m->part.name = media_param(m->arena, value, SV("name"));
        m->part.filename = media_param(m->arena, value, SV("filename"));
    } else if (sv_eq_nocase(name, SV("Content-Type"))) {
        m->part.content_type = value;
    }
    return true;
}

static bool read_head(struct multipart *m)
{
    struct str_view rest = buf_view(&m->head);
    m->part = (struct multipart_part){0};
    for (;;) {
        struct str_view line = sv_cut(&rest, '\n');
        line.len--; /* its CR */
        if (line.len == 0)
            break;
        if (!read_field(m, line))
            return false;
    }
    return m->part.name.p != NULL && form_is_text(m->part.name) && form_is_text(m->part.filename) &&
           form_is_text(m->part.content_type);
}

static void begin_head(struct multipart *m)
{
    m->state = STATE_HEAD;
    m->lines = 0;
    m->line_len = 0;
    m->last = 0;
    buf_init(&m->head, m->arena, head_first_bytes);
}

/* Up to the empty line; each line ends with CRLF and has no other control characters. */
static enum multipart_step feed_head(struct multipart *m, struct str_view in, size_t *used)
{
    size_t i = 0;
    bool whole = false;
    while (i < in.len && !whole) {
        unsigned char c = (unsigned char)in.p[i++];
        if ((c == '\n') != (m->last == '\r') || (is_control(c) && c != '\r' && c != '\n'))
            return fail(m, ERR_INVALID_FORM_DATA);
        m->last = (char)c;
        if (c == '\n') {
            whole = m->line_len == 0;
            m->line_len = 0;
            if (!whole && ++m->lines > multipart_fields_max)
                return fail(m, ERR_INVALID_FORM_DATA);
        } else if (c != '\r') {
            m->line_len++;
        }
    }
    *used = i;
    m->heads_bytes += (uint32_t)i;
    if (m->heads_bytes > multipart_heads_max)
        return fail(m, ERR_INVALID_FORM_DATA);
    buf_put(&m->head, in.p, i);
    if (m->head.failed)
        return fail(m, ERR_NOMEM);
    if (!whole)
        return MULTIPART_MORE;
    if (++m->parts > multipart_parts_max || !read_head(m))
        return fail(m, ERR_INVALID_FORM_DATA);
    m->state = STATE_DATA;
    m->matched = m->given = line_end_bytes; /* of an empty part the head's last CRLF is the
                                               delimiter's too */
    return MULTIPART_PART;
}

/* ---- content ---- */

/* The bytes at the end of s that may begin a delimiter. CR stands in one only at its beginning, so
 * the last CR decides. */
static size_t maybe_delimiter(const struct multipart *m, struct str_view s)
{
    size_t window = MIN(s.len, (size_t)m->delimiter_len - 1);
    const char *from = s.p + s.len - window;
    const char *cr = window == 0 ? NULL : memrchr(from, '\r', window);
    size_t n = cr == NULL ? 0 : (size_t)(s.p + s.len - cr);
    return n > 0 && memcmp(cr, m->delimiter, n) == 0 ? n : 0;
}

/* Bytes at the beginning of s that are content for sure, at most max; *found: the delimiter stands
 * behind them. */
static size_t content(const struct multipart *m, struct str_view s, size_t max, bool *found)
{
    size_t window = max < s.len ? MIN(s.len, max + m->delimiter_len) : s.len;
    const char *at =
        window < m->delimiter_len ? NULL : memmem(s.p, window, m->delimiter, m->delimiter_len);
    size_t n = at != NULL       ? (size_t)(at - s.p)
               : window < s.len ? max
                                : s.len - maybe_delimiter(m, s);
    *found = at != NULL && n <= max;
    return MIN(n, max);
}

static enum multipart_step on_delimiter(struct multipart *m)
{
    bool in_part = m->state == STATE_DATA;
    m->matched = m->given = 0;
    m->state = STATE_BEHIND;
    m->behind = 0;
    return in_part ? MULTIPART_PART_END : MULTIPART_MORE;
}

/* What looked like a delimiter was none: its bytes are content, and stand in our own copy. */
static struct str_view take_back(struct multipart *m, size_t max)
{
    size_t n = MIN((size_t)(m->matched - m->given), max);
    struct str_view data = {m->delimiter + m->given, n};
    m->given += (uint32_t)n;
    if (m->given == m->matched)
        m->matched = m->given = 0;
    return data;
}

/* Goes on with a delimiter whose beginning ended the input before. True: it is no longer open. */
static bool go_on(struct multipart *m, struct str_view in, size_t *used)
{
    size_t i = 0;
    while (i < in.len && m->matched < m->delimiter_len && in.p[i] == m->delimiter[m->matched]) {
        i++;
        m->matched++;
    }
    *used = i;
    return m->matched == m->delimiter_len || i < in.len;
}

static enum multipart_step feed_data(struct multipart *m, struct str_view in, size_t max,
                                     size_t *used, struct str_view *data)
{
    bool found;
    if (m->matched > 0) {
        if (!m->broken && !go_on(m, in, used))
            return MULTIPART_MORE;
        if (m->matched == m->delimiter_len)
            return on_delimiter(m);
        *data = take_back(m, max);
        m->broken = m->matched > 0;
        if (data->len > 0)
            return MULTIPART_DATA;
    }
    in = (struct str_view){in.p + *used, in.len - *used};
    size_t n = content(m, in, max, &found);
    *used += n;
    *data = (struct str_view){in.p, n};
    if (n > 0)
        return MULTIPART_DATA;
    *used += found ? m->delimiter_len : in.len;
    m->matched = (uint32_t)in.len;
    return found ? on_delimiter(m) : MULTIPART_MORE;
}

/* Nobody wants what stands before the first boundary. */
static enum multipart_step feed_preamble(struct multipart *m, struct str_view in, size_t *used)
{
    struct str_view data;
    size_t more = 0;
    enum multipart_step step = MULTIPART_DATA;
    while (step == MULTIPART_DATA && m->state == STATE_PREAMBLE) {
        step =
            feed_data(m, (struct str_view){in.p + *used, in.len - *used}, SIZE_MAX, &more, &data);
        *used += more;
        more = 0;
    }
    return step;
}

/* Two dashes end the body, CRLF begins a part. */
static enum multipart_step feed_behind(struct multipart *m, struct str_view in, size_t *used)
{
    size_t i = 0;
    while (i < in.len && m->state == STATE_BEHIND) {
        char c = in.p[i++];
        if (m->behind++ == 0)
            m->behind_first = c;
        else if (m->behind_first == '-' && c == '-')
            m->state = STATE_EPILOGUE;
        else if (m->behind_first == '\r' && c == '\n')
            begin_head(m);
        else
            return fail(m, ERR_INVALID_FORM_DATA);
    }
    *used = i;
    return MULTIPART_MORE;
}

static enum multipart_step feed_once(struct multipart *m, struct str_view in, size_t max,
                                     size_t *used, struct str_view *data)
{
    *used = 0;
    switch ((enum multipart_state)m->state) {
    case STATE_PREAMBLE:
        return feed_preamble(m, in, used);
    case STATE_BEHIND:
        return feed_behind(m, in, used);
    case STATE_HEAD:
        return feed_head(m, in, used);
    case STATE_DATA:
        return feed_data(m, in, max, used, data);
    case STATE_EPILOGUE:
        *used = in.len;
        return MULTIPART_MORE;
    case STATE_FAILED:
        break;
    }
    return MULTIPART_FAILED;
}

enum multipart_step multipart_feed(struct multipart *m, const void *in, size_t n, size_t data_max,
                                   size_t *used, struct str_view *data)
{
    size_t more;
    enum multipart_step step;
    ASSERT(data_max > 0);
    *used = 0;
    do {
        step = feed_once(m, (struct str_view){(const char *)in + *used, n - *used}, data_max, &more,
                         data);
        *used += more;
    } while (step == MULTIPART_MORE && *used < n);
    return step;
}

enum err multipart_end(const struct multipart *m)
{
    if (m->state == STATE_FAILED)
        return m->error;
    bool ended = m->state == STATE_EPILOGUE || (m->state == STATE_BEHIND && m->behind == 0) ||
                 (m->state == STATE_HEAD && m->head.len == 0);
    return ended ? ERR_OK : ERR_INVALID_FORM_DATA;
}
