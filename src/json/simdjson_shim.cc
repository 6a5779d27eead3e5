#include "json/simdjson_shim.h"

#include <algorithm>
#include <new>
#include <string_view>
#include <vector>

#include <simdjson.h>

namespace dom = simdjson::dom;

namespace
{

struct Parser {
    dom::parser dom;
    std::vector<std::string_view> names; // of one object, reused
};

constexpr size_t small_object = 12; // up to here comparing all pairs is cheaper than sorting

bool clean(std::string_view s)
{
    // simdjson lets \u0000 and lone low surrogates through; as UTF-8 those are NUL and ED A0..BF.
    for (size_t i = 0; i < s.size(); i++) {
        unsigned char c = static_cast<unsigned char>(s[i]);
        if (c == 0)
            return false;
        if (c == 0xed && i + 1 < s.size() && static_cast<unsigned char>(s[i + 1]) >= 0xa0)
            return false;
    }
    return true;
}

bool distinct(Parser &p, dom::object object)
{
    size_t first = p.names.size(); // names of the objects around this one lie below
    for (auto field : object)
        p.names.push_back(field.key);
    auto begin = p.names.begin() + static_cast<ptrdiff_t>(first), end = p.names.end();
    bool ok = true;
    if (p.names.size() - first <= small_object) {
        for (auto i = begin; ok && i != end; ++i)
            ok = std::find(i + 1, end, *i) == end;
    } else {
        std::sort(begin, end);
        ok = std::adjacent_find(begin, end) == end;
    }
    p.names.resize(first);
    return ok;
}

bool judge(Parser &p, dom::element e, unsigned depth_left)
{
    switch (e.type()) {
    case dom::element_type::STRING:
        return clean(std::string_view(e));
    case dom::element_type::ARRAY:
        if (depth_left == 0)
            return false;
        for (dom::element item : dom::array(e)) {
            if (!judge(p, item, depth_left - 1))
                return false;
        }
        return true;
    case dom::element_type::OBJECT:
        if (depth_left == 0 || !distinct(p, dom::object(e)))
            return false;
        for (auto field : dom::object(e)) {
            if (!clean(field.key) || !judge(p, field.value, depth_left - 1))
                return false;
        }
        return true;
    default:
        return true;
    }
}

shim_type type_of(dom::element e)
{
    switch (e.type()) {
    case dom::element_type::NULL_VALUE:
        return SHIM_NULL;
    case dom::element_type::BOOL:
        return SHIM_BOOL;
    case dom::element_type::INT64:
        return SHIM_INT;
    case dom::element_type::UINT64:
    case dom::element_type::DOUBLE:
        return SHIM_DOUBLE;
    case dom::element_type::STRING:
        return SHIM_STRING;
    case dom::element_type::ARRAY:
        return SHIM_ARRAY;
    case dom::element_type::OBJECT:
        return SHIM_OBJECT;
    }
    return SHIM_INVALID;
}

} // namespace

extern "C" void *shim_parser_new(void)
{
    return new (std::nothrow) Parser;
}

extern "C" void shim_parser_free(void *parser)
{
    delete static_cast<Parser *>(parser);
}

extern "C" enum shim_type shim_judge(void *parser, const char *text, size_t len, unsigned depth_max)
{
    Parser &p = *static_cast<Parser *>(parser);
    try {
        dom::element root;
        if (len >= 3 && std::string_view(text, 3) == "\xef\xbb\xbf")
            return SHIM_INVALID;
        if (p.dom.parse(reinterpret_cast<const uint8_t *>(text), len, true).get(root) !=
            simdjson::SUCCESS)
            return SHIM_INVALID;
        return judge(p, root, depth_max) ? type_of(root) : SHIM_INVALID;
    } catch (...) { // out of memory
        return SHIM_INVALID;
    }
}

extern "C" bool shim_utf8_valid(const char *p, size_t len)
{
    return simdjson::validate_utf8(p, len);
}
