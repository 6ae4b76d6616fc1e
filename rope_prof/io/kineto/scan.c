/* The text of a piece of Kineto's event array -> columns of integers, in one pass.
 *
 * Takes what profilers write and what the strict decoder (structs.py) takes, and nothing else: at anything odd (a key
 * twice, an allocation of memory, a time that is not plain digits, a number that is no integer, a control character, an escaped key) it gives
 * up, and the piece is read in Python. So whatever it gives is what Python would have given.
 */
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

typedef const uint8_t *Text;

#define NONE INT64_MIN
#define MOST_KEYS 64
#define MOST_DEPTH 32

/* The columns; scanner.py has the same list. Those from COPY_KIND to GROUP are strings, from GRID on any JSON value. */
enum { CATEGORY, NAME, START, DUR, PID, TID, DEVICE, STREAM, CORRELATION, EXTERNAL, EXTERNAL_2021, REGISTERS, SHARED,
       GRAPH, GRAPH_NODE, BYTES, SEQUENCE, FORWARD_THREAD, COPY_KIND, SOURCE, TARGET, COLLECTIVE, GROUP,
       GRID, BLOCK, DIMS, TYPES, COLUMNS };
#define TEXTS (1u << NAME | ~0u << COPY_KIND)
#define FILLED 512 /* rows that are filled at a time */

typedef struct { Text at; int64_t size; } Span;
typedef struct { uint64_t seen; int count; Span keys[MOST_KEYS]; } Keys;

typedef struct {
    Text end;
    /* the event at hand */
    uint32_t told; /* a bit for each column that it has a value of, in `value` or `text` */
    int64_t value[COLUMNS];
    Span text[COLUMNS];
    Span phase, category, name;
    int odd;       /* a field that is read is no integer, no string or no plain time: not what columns hold */
    int refused;   /* one is no scalar: the strict decoder refuses it in a complete event */
    int decimals;  /* its start has a point */
    /* distinct texts */
    int64_t *text_at, *text_size, texts, most_texts;
    int32_t *table;
    uint64_t mask;
    Text begin;
    /* categories that were looked up */
    Span said[16];
    int64_t category_number[16];
} Scan;

static void tell(Scan *s, int column, int64_t value) { s->told |= 1u << column, s->value[column] = value; }

static void tell_text(Scan *s, int column, Span text) { s->told |= 1u << column, s->text[column] = text; }

static int has(const Scan *s, int column) { return s->told >> column & 1; }

static Text blanks(Text p) {
    while (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t') p++;
    return p;
}

/* The first quote, backslash or control character from p on, or where the text ends. */
static inline Text special(Text end, Text p) {
    const uint64_t ones = 0x0101010101010101u;
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'), last = _mm_set1_epi8(0x1f);
    for (; end - p >= 16; p += 16) {
        __m128i word = _mm_loadu_si128((const __m128i *)p);
        __m128i found = _mm_or_si128(_mm_cmpeq_epi8(word, quote), _mm_cmpeq_epi8(word, slash));
        int marks = _mm_movemask_epi8(_mm_or_si128(found, _mm_cmpeq_epi8(_mm_min_epu8(word, last), word)));
        if (marks) return p + __builtin_ctz(marks);
    }
#endif
    for (; end - p >= 8; p += 8) { /* the lowest marked byte is one */
        uint64_t word, quote, slash, marks;
        memcpy(&word, p, 8);
        quote = word ^ ones * '"', slash = word ^ ones * '\\';
        marks = (((quote - ones) & ~quote) | ((slash - ones) & ~slash) | ((word - ones * 0x20) & ~word)) & ones << 7;
        if (marks) return p + (__builtin_ctzll(marks) >> 3);
    }
    while (p < end && *p != '"' && *p != '\\' && *p >= 0x20) p++;
    return p;
}

/* The closing quote of the string whose first character is at p, or NULL. */
static Text string_end(const Scan *s, Text p) {
    for (;;) {
        p = special(s->end, p);
        if (*p == '"') return p;
        if (*p < 0x20) return 0;
        if (*p == '\\') {
            if (!strchr("\"\\/bfnrt", p[1]) || !p[1]) return 0;
            p++;
        }
        p++;
        if (p > s->end) return 0;
    }
}

static int digit(uint8_t c) { return (uint8_t)(c - '0') <= 9; }

/* The end of the JSON number at p, or NULL. */
static Text number_end(Text p) {
    if (*p == '-') p++;
    if (*p == '0') p++;
    else if (digit(*p)) while (digit(*p)) p++;
    else return 0;
    if (*p == '.') {
        if (!digit(*++p)) return 0;
        while (digit(*p)) p++;
    }
    if ((*p | 0x20) == 'e') {
        p++;
        if (*p == '+' || *p == '-') p++;
        if (!digit(*p)) return 0;
        while (digit(*p)) p++;
    }
    return p;
}

/* Whether the key is new in its object. */
static int is_new(Keys *keys, Span key) {
    uint64_t bit = 1ull << ((key.size * 7 + key.at[0] + key.at[key.size / 2] * 3 + key.at[key.size - 1] * 5) & 63);
    if (keys->count == MOST_KEYS) return 0;
    if (keys->seen & bit)
        for (int k = 0; k < keys->count; k++)
            if (keys->keys[k].size == key.size && !memcmp(keys->keys[k].at, key.at, key.size)) return 0;
    keys->seen |= bit;
    keys->keys[keys->count++] = key;
    return 1;
}

/* The key at p and what follows its colon, or NULL. */
static Text key_at(const Scan *s, Text p, Keys *keys, Span *key) {
    Text end;
    if (*p != '"' || *(end = special(s->end, p + 1)) != '"' || end == p + 1) return 0;
    *key = (Span){p + 1, end - p - 1};
    if (!is_new(keys, *key)) return 0;
    p = blanks(end + 1);
    return *p == ':' ? blanks(p + 1) : 0;
}

static Text value_end(const Scan *s, Text p, int depth) {
    if (depth > MOST_DEPTH) return 0;
    switch (*p) {
    case '"': p = string_end(s, p + 1); return p ? p + 1 : 0;
    case 't': return strncmp((const char *)p, "true", 4) ? 0 : p + 4;
    case 'f': return strncmp((const char *)p, "false", 5) ? 0 : p + 5;
    case 'n': return strncmp((const char *)p, "null", 4) ? 0 : p + 4;
    case '[':
        p = blanks(p + 1);
        if (*p == ']') return p + 1;
        for (;;) {
            if (!(p = value_end(s, p, depth + 1))) return 0;
            p = blanks(p);
            if (*p == ']') return p + 1;
            if (*p != ',') return 0;
            p = blanks(p + 1);
        }
    case '{': {
        Keys keys;
        Span key;
        keys.seen = 0, keys.count = 0; /* the rest need not be cleared */
        p = blanks(p + 1);
        if (*p == '}') return p + 1;
        for (;;) {
            if (!(p = key_at(s, p, &keys, &key)) || !(p = value_end(s, p, depth + 1))) return 0;
            p = blanks(p);
            if (*p == '}') return p + 1;
            if (*p != ',') return 0;
            p = blanks(p + 1);
        }
    }
    default: return number_end(p);
    }
}

/* A scalar for an integer column: what is no integer is odd, what is no scalar refused. */
static Text integer(Scan *s, Text p, int column) {
    Text end, q = p;
    uint64_t found = 0;
    for (; digit(*q); q++) found = found * 10 + (*q - '0');
    if (*p > '0' && q > p && q - p <= 18 && (*q == ',' || *q == '}')) { /* nearly all of them */
        tell(s, column, (int64_t)found);
        return q;
    }
    end = value_end(s, p, 0), q = p, found = 0;
    if (!end || *p == 'n') return end;
    if (*p == '[' || *p == '{' || *p == 't' || *p == 'f') s->refused = 1;
    if (*q == '-') q++;
    for (; q < end && digit(*q); q++) found = found * 10 + (*q - '0');
    if (q != end || end - p > 18) s->odd = 1;
    else tell(s, column, *p == '-' ? -(int64_t)found : (int64_t)found);
    return end;
}

/* A scalar that is to be a string. */
static Text string(Scan *s, Text p, Span *into) {
    Text end = value_end(s, p, 0);
    if (!end || *p == 'n') return end;
    if (*p == '[' || *p == '{' || *p == 't' || *p == 'f') s->refused = 1;
    if (*p == '"') *into = (Span){p + 1, end - p - 2};
    else s->odd = 1;
    return end;
}

/* Microseconds with up to three decimals, in nanoseconds. */
static Text time_at(Scan *s, Text p, int column) {
    Text end, q = p, first, point;
    uint64_t found = 0;
    int places = 3;
    if (*q == '-') q++;
    for (first = q; digit(*q); q++) found = found * 10 + (*q - '0');
    point = q;
    if (*q == '.')
        for (q++; places && digit(*q); q++, places--) found = found * 10 + (*q - '0');
    if ((*q == ',' || *q == '}') && *first > '0' && point > first && digit(q[-1])) end = q; /* nearly all of them */
    else if (!(end = value_end(s, p, 0))) return 0;
    if (point - first > 15 + (*first == '1')) { s->odd = 1; return end; }
    if (*point == '.' && column == START) s->decimals = 1;
    while (places--) found *= 10;
    if (q != end || point == first) s->odd = 1;
    else tell(s, column, *p == '-' ? -(int64_t)found : (int64_t)found);
    return end;
}

#define is(key, word) ((key).size == sizeof word - 1 && !memcmp((key).at, word, sizeof word - 1))

/* The column of an argument, or COLUMNS. */
static int column_of(Span key) {
    switch (key.size) {
    case 4: return is(key, "grid") ? GRID : COLUMNS;
    case 5: return is(key, "bytes") ? BYTES : is(key, "block") ? BLOCK : COLUMNS;
    case 6: return is(key, "device") ? DEVICE : is(key, "stream") ? STREAM : COLUMNS;
    case 8: return is(key, "graph id") ? GRAPH : is(key, "src kind") ? SOURCE : is(key, "dst kind") ? TARGET : COLUMNS;
    case 9: return is(key, "copy kind") ? COPY_KIND : COLUMNS;
    case 10: return is(key, "Input Dims") ? DIMS : is(key, "Input type") ? TYPES : COLUMNS;
    case 11:
        return is(key, "correlation") ? CORRELATION
             : is(key, "External id") ? EXTERNAL
             : is(key, "external id") ? EXTERNAL_2021 : COLUMNS;
    case 13:
        return is(key, "shared memory") ? SHARED
             : is(key, "graph node id") ? GRAPH_NODE
             : is(key, "Fwd thread id") ? FORWARD_THREAD : COLUMNS;
    case 15: return is(key, "Sequence number") ? SEQUENCE : is(key, "Collective name") ? COLLECTIVE : COLUMNS;
    case 18: return is(key, "Process Group Name") ? GROUP : COLUMNS;
    case 20: return is(key, "registers per thread") ? REGISTERS : COLUMNS;
    default: return COLUMNS;
    }
}

static Text args_at(Scan *s, Text p) {
    Keys keys;
    Span key;
    keys.seen = 0, keys.count = 0;
    if (*p != '{') {
        if (*p != 'n') s->refused = 1;
        return value_end(s, p, 0);
    }
    p = blanks(p + 1);
    if (*p == '}') return p + 1;
    for (;;) {
        int column;
        if (!(p = key_at(s, p, &keys, &key))) return 0;
        column = column_of(key);
        if (column == COLUMNS) p = value_end(s, p, 0);
        else if (column >= GRID) {
            Text end = value_end(s, p, 0);
            if (end) tell_text(s, column, (Span){p, end - p});
            p = end;
        } else if (column >= COPY_KIND) {
            Span said = {0, 0};
            p = string(s, p, &said);
            if (said.at) tell_text(s, column, said);
        }
        else p = integer(s, p, column);
        if (!p) return 0;
        p = blanks(p);
        if (*p == '}') return p + 1;
        if (*p != ',') return 0;
        p = blanks(p + 1);
    }
}

/* The event at p into the scan's fields; its end, or NULL. */
static Text event_at(Scan *s, Text p) {
    Keys keys;
    Span key, none = {0, 0};
    keys.seen = 0, keys.count = 0;
    s->odd = s->refused = s->decimals = 0;
    s->phase = s->category = s->name = none;
    s->told = 0;
    if (*p != '{') return 0;
    p = blanks(p + 1);
    if (*p == '}') return 0;
    for (;;) {
        if (!(p = key_at(s, p, &keys, &key))) return 0;
        if (is(key, "ph")) {
            if (*p != '"') return 0;
            p = string(s, p, &s->phase);
        } else if (is(key, "cat")) {
            if (*p != '"' && *p != 'n') return 0;
            p = string(s, p, &s->category);
        } else if (is(key, "name")) {
            if (*p != '"') return 0;
            p = string(s, p, &s->name);
        } else if (is(key, "pid")) p = integer(s, p, PID);
        else if (is(key, "tid")) p = integer(s, p, TID);
        else if (is(key, "ts")) p = time_at(s, p, START);
        else if (is(key, "dur")) p = time_at(s, p, DUR);
        else if (is(key, "args")) p = args_at(s, p);
        else p = value_end(s, p, 0);
        if (!p) return 0;
        p = blanks(p);
        if (*p == '}') return p + 1;
        if (*p != ',') return 0;
        p = blanks(p + 1);
    }
}

/* The number of a text: the same for the same bytes. -1 where there is no room for more. */
static int64_t number_of(Scan *s, Span text) {
    uint64_t hash = 0x9E3779B97F4A7C15u ^ (uint64_t)text.size;
    for (int64_t k = 0; k < text.size; k += 8) { /* the last word may overlap the one before */
        uint64_t word = 0;
        if (text.size >= 8) memcpy(&word, text.at + (k + 8 <= text.size ? k : text.size - 8), 8);
        else for (int64_t at = 0; at < text.size; at++) word = word << 8 | text.at[at];
        hash = (hash ^ word) * 0xD6E8FEB86659FD93u;
        hash ^= hash >> 32;
    }
    hash ^= hash >> 29;
    for (uint64_t at = hash & s->mask;; at = (at + 1) & s->mask) {
        int32_t known = s->table[at] - 1;
        if (known < 0) {
            if (s->texts == s->most_texts) return -1;
            s->text_at[s->texts] = text.at - s->begin, s->text_size[s->texts] = text.size;
            s->table[at] = (int32_t)++s->texts;
            return s->texts - 1;
        }
        if (s->text_size[known] == text.size && !memcmp(s->begin + s->text_at[known], text.at, text.size)) return known;
    }
}

/* The place of a category in `known` (lower-case words, each behind its length, then a 0), or -1; -2: not ASCII. */
static int64_t looked_up(Span said, const char *known) {
    uint8_t size;
    for (int64_t k = 0; k < said.size; k++)
        if (said.at[k] >= 0x80 || said.at[k] == '\\') return -2;
    for (int64_t number = 0; (size = (uint8_t)*known++); number++, known += size) {
        int64_t k = 0;
        if (size != said.size) continue;
        while (k < said.size && (said.at[k] | ((uint8_t)(said.at[k] - 'A') < 26) << 5) == known[k]) k++;
        if (k == said.size) return number;
    }
    return -1;
}

/* The same, which a file says a million times of a dozen words. */
static int64_t category_of(Scan *s, Span said, const char *known) {
    int at = said.size ? (said.size * 5 + said.at[said.size - 1]) & 15 : 0;
    Span *seen = &s->said[at];
    if (!seen->at || seen->size != said.size || memcmp(seen->at, said.at, said.size))
        *seen = said, s->category_number[at] = looked_up(said, known);
    return s->category_number[at];
}

/* Rows of `columns` (COLUMNS of them, `most` values each); negative where the piece is not for this scan.
 *
 * `known`: the categories that are read, as in `category_of`; `python`: the one whose built-in functions are left out.
 * `told`: events, texts, where the array ended (-1: not), whether the window's end came and when, whether a start of
 * an event that is read has decimals.
 */
int64_t scan(Text text, int64_t size, int64_t last, const char *known, int64_t python, int64_t *columns, int64_t most,
             int64_t *text_at, int64_t *text_size, int64_t most_texts, int32_t *table, int64_t slots, int64_t *told) {
    Scan s = {.end = text + size, .begin = text, .text_at = text_at, .text_size = text_size,
              .most_texts = most_texts, .table = table, .mask = (uint64_t)slots - 1};
    int64_t row = 0, events = 0;
    Text p = blanks(text);
    told[2] = -1, told[3] = told[4] = told[5] = 0;
    for (;;) {
        if (!(p = event_at(&s, p)) || p > s.end || s.phase.size != 1) return -1;
        events++;
        switch (s.phase.at[0]) {
        case 'X': {
            int64_t category = s.category.at ? category_of(&s, s.category, known) : -1;
            if (category == -2 || s.refused) return -1;
            if (category < 0) break;
            if (category == python && s.name.size >= 9 && !memcmp(s.name.at, "<built-in", 9)) break;
            if (s.odd || !has(&s, START) || !has(&s, DUR) || !has(&s, PID) || !s.name.at || row == most) return -1;
            tell(&s, CATEGORY, category), tell_text(&s, NAME, s.name);
            told[5] |= s.decimals;
            if (row % FILLED == 0) { /* those that say nothing hold NONE */
                int64_t stop = row + FILLED < most ? row + FILLED : most;
                for (int64_t k = 0; k < COLUMNS; k++)
                    for (int64_t r = row; r < stop; r++) columns[k * most + r] = NONE;
            }
            for (uint32_t left = s.told; left; left &= left - 1) {
                int k = __builtin_ctz(left);
                if (TEXTS >> k & 1 && (s.value[k] = number_of(&s, s.text[k])) < 0) return -1;
                columns[k * most + row] = s.value[k];
            }
            row++;
            break;
        }
        case 'i':
        case 'I':
            if (s.name.size == 8 && !memcmp(s.name.at, "[memory]", 8)) return -1; /* allocations are read in Python */
            if (s.name.size >= 17 && !memcmp(s.name.at, "Record Window End", 17)) {
                if (!has(&s, START)) return -1;
                told[3] = 1, told[4] = s.value[START];
            }
            break;
        case 'M': case 's': case 'f': case 'C': break;
        default: return -1;
        }
        p = blanks(p);
        if (*p == ',') { p = blanks(p + 1); continue; }
        if (last ? *p != ']' || p >= s.end : p != s.end) return -1;
        break;
    }
    told[0] = events, told[1] = s.texts;
    if (last) told[2] = p + 1 - text;
    return row;
}
