#include "store/crc32c.h"

#include <immintrin.h>
#include <string.h>

enum { lane_bytes = 512 };

__attribute__((target("sse4.2"))) static uint64_t eight(uint64_t crc, const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return _mm_crc32_u64(crc, v);
}

__attribute__((target("sse4.2"))) static uint32_t hardware(uint32_t crc, const uint8_t *p, size_t n)
{
    uint64_t wide = crc;
    uint32_t four;
    for (; n >= 8; p += 8, n -= 8)
        wide = eight(wide, p);
    crc = (uint32_t)wide;
    if (n >= 4) {
        memcpy(&four, p, sizeof four);
        crc = _mm_crc32_u32(crc, four);
        p += 4;
        n -= 4;
    }
    for (; n > 0; p++, n--)
        crc = _mm_crc32_u8(crc, *p);
    return crc;
}

/* crc as it stands once 8 * bytes bits of zeros have followed, x being x^(8 * bytes - 33) modulo
 * the polynomial, bits reversed: the instruction itself brings the 64-bit product back to 32. */
__attribute__((target("sse4.2,pclmul"))) static uint32_t moved(uint64_t crc, uint64_t x)
{
    __m128i product =
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)crc), _mm_cvtsi64_si128((long long)x), 0);
    return (uint32_t)_mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

/* The instruction takes three cycles and one can begin in each, so three lanes run beside each
 * other and are put together behind each round. */
__attribute__((target("sse4.2,pclmul"))) static uint32_t three_lanes(uint32_t crc, const uint8_t *p,
                                                                     size_t n)
{
    const uint64_t by_one_lane = 0xdd7e3b0c, by_two_lanes = 0x170076fa;
    for (; n >= 3 * lane_bytes; p += 3 * lane_bytes, n -= 3 * lane_bytes) {
        uint64_t a = crc, b = 0, c = 0;
        for (size_t i = 0; i < lane_bytes; i += 8) {
            a = eight(a, p + i);
            b = eight(b, p + lane_bytes + i);
            c = eight(c, p + 2 * lane_bytes + i);
        }
        crc = moved(a, by_two_lanes) ^ moved(b, by_one_lane) ^ (uint32_t)c;
    }
    return hardware(crc, p, n);
}

static uint32_t software(uint32_t crc, const uint8_t *p, size_t n)
{
    for (; n > 0; p++, n--) {
        crc ^= *p;
        for (int i = 0; i < 8; i++)
            crc = crc >> 1 ^ (0x82f63b78u & (0u - (crc & 1)));
    }
    return crc;
}

uint32_t crc32c_add(uint32_t crc, const void *p, size_t n)
{
    if (!__builtin_cpu_supports("sse4.2"))
        return software(crc, p, n);
    if (n >= 3 * lane_bytes && __builtin_cpu_supports("pclmul"))
        return three_lanes(crc, p, n);
    return hardware(crc, p, n);
}

/* Debian's RocksDB is built for every x86-64 and computes its checksums by table, at a tenth of the
 * speed. The linker sends RocksDB's calls here (CMakeLists.txt). */
uint32_t __wrap__ZN7rocksdb6crc32c6ExtendEjPKcm(uint32_t crc, const char *p, size_t n);
__attribute__((used)) uint32_t __wrap__ZN7rocksdb6crc32c6ExtendEjPKcm(uint32_t crc, const char *p,
                                                                      size_t n)
{
    return ~crc32c_add(~crc, p, n);
}
