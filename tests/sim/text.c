#include "text.h"

enum { depth_max = 40 };

static size_t skip_space(struct str_view s, size_t i)
{
    while (i < s.len && (s.p[i] == ' ' || s.p[i] == '\n' || s.p[i] == '\t' || s.p[i] == '\r'))
        i++;
    return i;
}

static size_t skip_string(struct str_view s, size_t i)
{
    for (i++; i < s.len && s.p[i] != '"'; i++) {
        if (s.p[i] == '\\')
            i++;
        else if ((unsigned char)s.p[i] < 0x20)
            return SIZE_MAX;
    }
    return i < s.len ? i + 1 : SIZE_MAX;
}

/* Behind the value at i; SIZE_MAX: not JSON. */
static size_t skip_value(struct str_view s, size_t i, int depth);

static size_t skip_members(struct str_view s, size_t i, char close, int depth)
{
    i = skip_space(s, i + 1);
    if (i < s.len && s.p[i] == close)
        return i + 1;
    while (i < s.len) {
        if (close == '}') {
            if (s.p[i] != '"' || (i = skip_string(s, i)) == SIZE_MAX)
                return SIZE_MAX;
            i = skip_space(s, i);
            if (i >= s.len || s.p[i] != ':')
                return SIZE_MAX;
            i = skip_space(s, i + 1);
        }
        i = skip_value(s, i, depth + 1);
        if (i == SIZE_MAX)
            return SIZE_MAX;
        i = skip_space(s, i);
        if (i < s.len && s.p[i] == close)
            return i + 1;
        if (i >= s.len || s.p[i] != ',')
            return SIZE_MAX;
        i = skip_space(s, i + 1);
    }
    return SIZE_MAX;
}

static size_t skip_value(struct str_view s, size_t i, int depth)
{
    if (i >= s.len || depth > depth_max)
        return SIZE_MAX;
    if (s.p[i] == '"')
        return skip_string(s, i);
    if (s.p[i] == '{')
        return skip_members(s, i, '}', depth);
    if (s.p[i] == '[')
        return skip_members(s, i, ']', depth);
    size_t from = i;
    while (i < s.len && strchr("+-.0123456789abcdefghijklmnopqrstuvwxyzE", s.p[i]) != NULL)
        i++;
    return i > from ? i : SIZE_MAX;
}

bool js_whole(struct str_view text)
{
    return skip_value(text, 0, 0) == text.len;
}

struct str_view js_get(struct str_view obj, const char *name)
{
    size_t len = strlen(name), i = 1;
    if (obj.len == 0 || obj.p[0] != '{')
        return SV_NONE;
    while ((i = skip_space(obj, i)) < obj.len && obj.p[i] == '"') {
        size_t end = skip_string(obj, i);
        if (end == SIZE_MAX)
            return SV_NONE;
        bool same = end - i - 2 == len && memcmp(obj.p + i + 1, name, len) == 0;
        i = skip_space(obj, end);
        i = skip_space(obj, i + 1); /* the colon */
        end = skip_value(obj, i, 0);
        if (end == SIZE_MAX)
            return SV_NONE;
        if (same)
            return (struct str_view){obj.p + i, end - i};
        i = skip_space(obj, end) + 1; /* the comma */
    }
    return SV_NONE;
}

struct str_view js_next(struct str_view array, size_t *at)
{
    if (array.len == 0 || array.p[0] != '[')
        return SV_NONE;
    size_t i = skip_space(array, *at == 0 ? 1 : *at);
    if (i >= array.len || array.p[i] == ']')
        return SV_NONE;
    size_t end = skip_value(array, i, 0);
    if (end == SIZE_MAX)
        return SV_NONE;
    *at = skip_space(array, end) + 1;
    return (struct str_view){array.p + i, end - i};
}

static int hex4(const char *p)
{
    int v = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c - 'A' + 10;
        v = v * 16 + d;
    }
    return v;
}

static size_t put_utf8(char *out, int c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 63));
        out[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 63));
    out[2] = (char)(0x80 | (c >> 6 & 63));
    out[3] = (char)(0x80 | (c & 63));
    return 4;
}

struct str_view js_string(struct str_view value, char *out, size_t max)
{
    size_t n = 0;
    if (value.len < 2 || value.p[0] != '"')
        return SV_NONE;
    for (size_t i = 1; i < value.len - 1; i++) {
        if (n + 4 > max)
            return SV_NONE;
        if (value.p[i] != '\\') {
            out[n++] = value.p[i];
            continue;
        }
        char c = value.p[++i];
        if (c == 'u') {
            int u = hex4(value.p + i + 1);
            i += 4;
            if (u >= 0xd800 && u < 0xdc00) {
                u = 0x10000 + ((u - 0xd800) << 10) + (hex4(value.p + i + 3) - 0xdc00);
                i += 6;
            }
            n += put_utf8(out + n, u);
        } else {
            static const char from[] = "nrtbf", to[] = "\n\r\t\b\f";
            const char *at = strchr(from, c);
            out[n++] = at != NULL && c != '\0' ? to[at - from] : c;
        }
    }
    return (struct str_view){out, n};
}

uint64_t js_u64(struct str_view value)
{
    uint64_t v = 0;
    for (size_t i = 0; i < value.len && value.p[i] >= '0' && value.p[i] <= '9'; i++)
        v = v * 10 + (uint64_t)(value.p[i] - '0');
    return v;
}

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

uint64_t js_id(struct str_view value)
{
    uint64_t v = 0;
    if (value.len < 4 || value.p[0] != '"')
        return 0;
    for (size_t i = 2; i < value.len - 1; i++) {
        const char *at = strchr(digits, value.p[i]);
        if (at == NULL || value.p[i] == '\0')
            return 0;
        v = v << 5 | (uint64_t)(at - digits);
    }
    return v;
}

void js_format_id(char out[js_id_max], char letter, uint64_t id)
{
    char reversed[js_id_max];
    int n = 0;
    for (; id != 0; id >>= 5)
        reversed[n++] = digits[id & 31];
    *out++ = letter;
    while (n > 0)
        *out++ = reversed[--n];
    *out = '\0';
}

uint64_t js_ts(struct str_view value)
{
    if (value.len != 19 || value.p[0] != '"' || value.p[11] != '.')
        return 0;
    return js_u64((struct str_view){value.p + 1, 10}) * 1000000 +
           js_u64((struct str_view){value.p + 12, 6});
}
