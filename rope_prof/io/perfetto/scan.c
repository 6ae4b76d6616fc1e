/* A block of a native Perfetto trace -> where its packets are, and what they say as columns of integers, in one pass.
 *
 * Takes what profilers write and reads it as shapes.py does (its field numbers are told there), and nothing else: at
 * anything odd (a packet that is no message, a number that is written in more bytes than it can take, more words than
 * a block has of a profiler) it gives up, and the block is read in Python. So whatever it gives is what Python gives.
 */
#include <stdint.h>
#include <string.h>

typedef const uint8_t *Bytes;

#define NONE INT64_MIN
#define PACKET 0x0A
#define FAR ((uint64_t)1 << 40)  /* no packet is so long */
#define MOST_ID ((uint64_t)1 << 62)
#define MOST_SMALL ((uint64_t)1 << 31)
#define TABLE 4096 /* places for the numbers of keys and of heads, which are a quarter of it at most */
#define SKIPPED (-1)
#define RECENT 256
enum { VARINT, FIXED64, LENGTH, FIXED32 = 5 };
enum { BEGIN = 1, END = 2 };
/* The values of a packet; compiled.py has the same list. */
enum { AT, TRACK, NAME_IID, DURATION, GPU, QUEUE, STAGE, KERNEL, CONTEXT, GRID, BLOCK = GRID + 3, VALUES = BLOCK + 3 };
/* How an argument is read, and what names it: compiled.py has the same lists. */
enum { INT, DOUBLE, TEXT, WORD, BLOB, DIGITS };
enum { BY_TEXT, BY_NOTE, BY_LAUNCH };
/* What a packet says beside its event. */
enum { RARE = 1, RESET = 2, DEFAULTS = 4 };
#define ODD (-1) /* why a block is not read */

/* Where whole packets lie in `data`, `end` bytes of it and sixteen behind them: how many there are.
 *
 * `told`: where the last one ends, how many begin with a packed one.
 */
int64_t frame(Bytes data, int64_t end, int64_t *starts, int64_t *lengths, int64_t *told) {
    int64_t at = 0, count = 0;
    told[1] = 0;
    while (at < end && data[at] == PACKET) {
        uint64_t length = 0;
        int64_t size = 0;
        for (; size < 10; size++) { /* one without an end is what its ten bytes say */
            uint64_t bits = data[at + 1 + size] & 0x7F;
            length |= size < 9 ? bits << 7 * size : bits << 63;
            if (data[at + 1 + size] < 0x80) { size++; break; }
        }
        if (length >= FAR || (int64_t)length > end - at - 1 - size) break;
        starts[count] = at + 1 + size, lengths[count++] = (int64_t)length;
        at += 1 + size;
        told[1] += data[at] == 0x92 && data[at + 1] == 0x03;
        at += (int64_t)length;
    }
    told[0] = at;
    return count;
}

typedef struct { Bytes at, end; } Span;
typedef struct { int64_t table, name, kind, sequence; } Key;
typedef struct { int64_t sequence, clock, kind, stage, category, text; } Head;

/* Room for what a block says, in the order of compiled.py; every member takes eight bytes. */
typedef struct {
    int64_t *text_at, *text_size, most_texts;
    int32_t *text_table;
    int64_t text_slots;
    Key *keys;
    int64_t *key_counts, most_keys;
    Head *heads;
    int64_t most_heads;
    int32_t *arg_key; /* arguments as they come, then, by their keys, what `arg_rows` and `arg_values` hold */
    int64_t *arg_row, *arg_value, *arg_rows, *arg_values, most_args;
    int32_t *event_head, *stage_head, *other_head;
    int64_t *event_row, *event_values, *stage_row, *stage_values, *other_row, *other_values; /* columns, one by one */
    int64_t *name_row, *name_text;
    int64_t *mark_row, *mark_sequence, *marks;
    int64_t most_rows;
    const int64_t *skipped; /* pairs of a sequence and the number of a name that nobody reads */
    int64_t skip_count;
    const int64_t *tracks; /* those whose events are kept, in order; none: all are */
    int64_t track_count;
    Bytes wanted; /* names of arguments that are read, each behind its length, in so many bytes; none: all are */
    int64_t wanted_size;
    int64_t digits;  /* whether a text that is how a number is written is read as that number */
    int64_t stepped; /* whether times of other packets are needed from here on */
    int64_t events, stages, others, names, marked, texts, key_count, head_count, args, counted, dropped;
} Room;

typedef struct {
    Room *room;
    Bytes data;
    int32_t key_table[TABLE], head_table[TABLE];
    /* the packet at hand */
    int64_t ordinal;
    Head head;
    int64_t value[VALUES];
    int64_t name; /* the number of its text, or NONE */
    int marks, dropped;
    int32_t near_head[4], near_key[RECENT]; /* the number of the last one of its kind, of its name */
} Scan;

/* A number; what follows it, or NULL where it does not end before `end` or says more than 64 bits. */
static inline Bytes varint(Bytes p, Bytes end, uint64_t *value) {
    uint64_t found = 0;
    if (p < end && *p < 0x80) { /* as most are */
        *value = *p;
        return p + 1;
    }
    for (int shift = 0; shift < 70 && p < end; shift += 7, p++) {
        found |= (uint64_t)(*p & 0x7F) << (shift > 63 ? 63 : shift);
        if (*p < 0x80) {
            *value = found;
            return shift == 63 && *p > 1 ? 0 : p + 1;
        }
    }
    return 0;
}

typedef struct { uint64_t number; int wire; uint64_t value; Span body; } Field;

/* The field at p; what follows it, or NULL. `value` is a number's, `body` what a length or a fixed one holds. */
static inline Bytes field_at(Bytes p, Bytes end, Field *f) {
    uint64_t tag, size;
    Bytes from = p;
    if (!(p = varint(p, end, &tag)) || p - from > 5) return 0;
    f->number = tag >> 3, f->wire = tag & 7;
    if (f->number == 0 || f->number >= 1u << 29) return 0;
    f->value = 0, f->body.at = p;
    switch (f->wire) {
    case VARINT: p = varint(p, end, &f->value); break;
    case LENGTH:
        if (!(p = varint(p, end, &size)) || size > (uint64_t)(end - p)) return 0;
        f->body.at = p, p += size;
        break;
    case FIXED64: p = end - p >= 8 ? p + 8 : 0; break;
    case FIXED32: p = end - p >= 4 ? p + 4 : 0; break;
    default: return 0;
    }
    f->body.end = p;
    return p;
}

static uint64_t mixed(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * 0xD6E8FEB86659FD93u;
    return hash ^ hash >> 32;
}

/* Up to eight bytes; there are eight behind every text. */
static inline uint64_t word_at(Bytes p, int64_t size) {
    uint64_t word;
    memcpy(&word, p, 8);
    return size < 8 ? word & (((uint64_t)1 << 8 * size) - 1) : word;
}

/* The number of a text: the same for the same bytes. -1 where there is no room for more. */
static int64_t number_of(Scan *s, Span text) {
    Room *r = s->room;
    int64_t size = text.end - text.at, k = 0;
    uint64_t hash = 0x9E3779B97F4A7C15u ^ (uint64_t)size, mask = (uint64_t)r->text_slots - 1;
    for (; k < size; k += 8) hash = mixed(hash, word_at(text.at + k, size - k));
    for (uint64_t at = hash & mask;; at = (at + 1) & mask) {
        int32_t known = r->text_table[at] - 1;
        if (known < 0) {
            if (r->texts == r->most_texts) return -1;
            r->text_at[r->texts] = text.at - s->data, r->text_size[r->texts] = size;
            r->text_table[at] = (int32_t)++r->texts;
            return r->texts - 1;
        }
        if (r->text_size[known] == size && !memcmp(s->data + r->text_at[known], text.at, (size_t)size)) return known;
    }
}

/* The number of the packet's head, or -1. */
static int64_t head_of(Scan *s) {
    const Head *h = &s->head;
    Room *r = s->room;
    int32_t *near = &s->near_head[h->kind & 3];
    if (*near < r->head_count && !memcmp(&r->heads[*near], h, sizeof *h)) return *near;
    uint64_t hash = mixed((uint64_t)h->sequence, (uint64_t)(h->clock << 8 ^ h->kind << 1 ^ h->stage));
    hash = mixed(hash, (uint64_t)h->category ^ (uint64_t)h->text << 63);
    for (uint64_t at = hash & (TABLE - 1);; at = (at + 1) & (TABLE - 1)) {
        int32_t known = s->head_table[at] - 1;
        if (known < 0) {
            if (r->head_count == r->most_heads) return -1;
            r->heads[r->head_count] = *h;
            s->head_table[at] = (int32_t)++r->head_count;
            return *near = (int32_t)r->head_count - 1;
        }
        if (!memcmp(&r->heads[known], h, sizeof *h)) return *near = known;
    }
}

/* Whether an argument that is named by a text is read. */
static int is_wanted(const Scan *s, int64_t name) {
    const Room *r = s->room;
    int64_t size = name < 0 ? 0 : r->text_size[name];
    for (int64_t at = 0; at < r->wanted_size; at += 1 + r->wanted[at])
        if (r->wanted[at] == size && (!size || !memcmp(r->wanted + at + 1, s->data + r->text_at[name], (size_t)size)))
            return 1;
    return !r->wanted_size;
}

/* The number of a key, or -1. */
static int64_t key_of(Scan *s, const Key *key) {
    Room *r = s->room;
    int32_t *near = &s->near_key[(uint64_t)key->name & (RECENT - 1)];
    if (*near < r->key_count && !memcmp(&r->keys[*near], key, sizeof *key)) return *near;
    uint64_t hash = mixed((uint64_t)key->sequence, (uint64_t)key->name);
    hash = mixed(hash, (uint64_t)(key->table << 4 | key->kind));
    for (uint64_t at = hash & (TABLE - 1);; at = (at + 1) & (TABLE - 1)) {
        int32_t known = s->key_table[at] - 1;
        if (known < 0) {
            if (r->key_count == r->most_keys) return -1;
            r->keys[r->key_count] = *key;
            r->key_counts[r->key_count] = key->table == BY_TEXT && !is_wanted(s, key->name) ? SKIPPED : 0;
            for (int64_t k = 0; key->table == BY_NOTE && k < r->skip_count; k++)
                if (r->skipped[2 * k] == key->sequence && r->skipped[2 * k + 1] == key->name)
                    r->key_counts[r->key_count] = SKIPPED;
            s->key_table[at] = (int32_t)++r->key_count;
            return *near = (int32_t)r->key_count - 1;
        }
        if (!memcmp(&r->keys[known], key, sizeof *key)) return *near = known;
    }
}

/* An argument as it is found: what names it, how it is read. */
typedef struct { int64_t table, name; int kind, given; int64_t value; Span text; } Arg;

/* Whether a text is how a number is written: no sign, no zero before it, up to 18 digits; the number. */
static int is_number(Span text, int64_t *value) {
    int64_t size = text.end - text.at, found = 0;
    if (size < 1 || size > 18 || (*text.at == '0' && size > 1)) return 0;
    for (Bytes p = text.at; p < text.end; p++) {
        if (*p < '0' || *p > '9') return 0;
        found = 10 * found + *p - '0';
    }
    *value = found;
    return 1;
}

static int keep(Scan *s, Arg *arg) {
    Room *r = s->room;
    if (!arg->given) return 1;
    if (arg->kind == TEXT && r->digits && is_number(arg->text, &arg->value)) arg->kind = DIGITS;
    if (r->args == r->most_args) return 0;
    Key key = {arg->table, arg->name, arg->kind, s->head.sequence};
    int64_t known = key_of(s, &key);
    if (known < 0) return 0;
    if (r->key_counts[known] == SKIPPED) return 1;
    if ((arg->kind == TEXT || arg->kind == BLOB) && (arg->value = number_of(s, arg->text)) < 0) return 0;
    r->key_counts[known]++;
    r->arg_key[r->args] = (int32_t)known, r->arg_row[r->args] = s->ordinal, r->arg_value[r->args++] = arg->value;
    return 1;
}

static void give(Arg *arg, int kind, const Field *f) {
    arg->kind = kind, arg->given = 1, arg->text = f->body;
    if (kind == DOUBLE) memcpy(&arg->value, f->body.at, 8);
    else arg->value = (int64_t)f->value;
}

/* Name an argument by a text: plain ones, of which no two are read as one. */
static int call(Scan *s, Arg *arg, const Field *f) {
    for (Bytes p = f->body.at; p < f->body.end; p += 8)
        if (word_at(p, f->body.end - p) & 0x8080808080808080u) return 0;
    arg->table = BY_TEXT, arg->name = -1;
    return f->body.at == f->body.end || (arg->name = number_of(s, f->body)) >= 0;
}

static int call_by(Arg *arg, int table, const Field *f) {
    arg->table = table, arg->name = (int64_t)f->value;
    return f->value < MOST_ID;
}

/* The argument of no name: an empty text. */
static Arg nameless(void) { return (Arg){.table = BY_TEXT, .name = -1}; }

static int note(Scan *s, Span in) {
    Arg arg = nameless();
    Field f;
    for (Bytes p = in.at; p < in.end;) {
        if (!(p = field_at(p, in.end, &f))) return 0;
        if (f.wire == VARINT) {
            if (f.number == 1 && !call_by(&arg, BY_NOTE, &f)) return 0;
            if (f.number == 2 || f.number == 3 || f.number == 4 || f.number == 7) give(&arg, INT, &f);
            if (f.number == 17) give(&arg, WORD, &f);
        } else if (f.wire == FIXED64) {
            if (f.number == 5) give(&arg, DOUBLE, &f);
        } else if (f.wire == LENGTH) {
            if (f.number == 10 && !call(s, &arg, &f)) return 0;
            if (f.number == 6 || f.number == 9) give(&arg, TEXT, &f);
            if (f.number == 11 || f.number == 12) {
                f.body = in; /* whoever reads it looks at all of it */
                give(&arg, BLOB, &f);
            }
        }
    }
    return keep(s, &arg);
}

static int event(Scan *s, Span in) {
    Field f;
    for (Bytes p = in.at; p < in.end;) {
        if (!(p = field_at(p, in.end, &f))) return 0;
        switch (f.number) {
        case 3: { /* one number of a word, or the first of several in one field */
            uint64_t category = f.value;
            if (f.wire == LENGTH) {
                if (!varint(f.body.at, f.body.end, &category)) return 0;
            } else if (f.wire != VARINT) return 0;
            if (category >= MOST_ID) return 0;
            s->head.category = (int64_t)category, s->head.text = 0;
            break;
        }
        case 4: if (f.wire == LENGTH && !note(s, f.body)) return 0; break;
        case 9:
            if (f.wire != VARINT) break;
            if (f.value >= MOST_SMALL) return 0;
            s->head.kind = (int64_t)f.value;
            break;
        case 10: if (f.wire == VARINT) s->value[NAME_IID] = (int64_t)f.value; break;
        case 11: if (f.wire == VARINT) s->value[TRACK] = (int64_t)f.value; break;
        case 22:
            if (f.wire != LENGTH) break;
            if ((s->head.category = number_of(s, f.body)) < 0) return 0;
            s->head.text = 1;
            break;
        case 23: if (f.wire == LENGTH && (s->name = number_of(s, f.body)) < 0) return 0; break;
        }
    }
    return 1;
}

static int extra(Scan *s, Span in) {
    Arg arg = nameless();
    Field f;
    for (Bytes p = in.at; p < in.end;) {
        if (!(p = field_at(p, in.end, &f))) return 0;
        if (f.wire != LENGTH) continue;
        if (f.number == 1 && !call(s, &arg, &f)) return 0;
        if (f.number == 2) give(&arg, TEXT, &f);
    }
    return keep(s, &arg);
}

static int dims(Scan *s, Span in, int first) {
    Field f;
    for (Bytes p = in.at; p < in.end;) {
        if (!(p = field_at(p, in.end, &f))) return 0;
        if (f.wire == VARINT && f.number >= 1 && f.number <= 3) s->value[first + f.number - 1] = (int64_t)f.value;
    }
    return 1;
}

static int launch_argument(Scan *s, Span in) {
    Arg arg = nameless();
    Field f;
    for (Bytes p = in.at; p < in.end;) {
        if (!(p = field_at(p, in.end, &f))) return 0;
        if (f.wire == VARINT) {
            if (f.number == 1 && !call_by(&arg, BY_LAUNCH, &f)) return 0;
            if (f.number == 3 || f.number == 4) give(&arg, INT, &f);
        } else if (f.wire == LENGTH && f.number == 2) {
            if (!call(s, &arg, &f)) return 0;
        } else if (f.wire == FIXED64 && f.number == 5) give(&arg, DOUBLE, &f);
    }
    return keep(s, &arg);
}

static int launch(Scan *s, Span in) {
    Field f;
    for (Bytes p = in.at; p < in.end;) {
        if (!(p = field_at(p, in.end, &f))) return 0;
        if (f.wire != LENGTH) continue;
        if ((f.number == 1 || f.number == 2) && !dims(s, f.body, f.number == 1 ? GRID : BLOCK)) return 0;
        if (f.number == 3 && !launch_argument(s, f.body)) return 0;
    }
    return 1;
}

static int stage(Scan *s, Span in) {
    static const int8_t VALUE[21] = {[2] = DURATION, [5] = CONTEXT, [11] = GPU, [13] = QUEUE, [14] = STAGE,
                                     [19] = KERNEL, [20] = NAME_IID};
    Field f;
    for (Bytes p = in.at; p < in.end;) {
        if (!(p = field_at(p, in.end, &f))) return 0;
        if (f.wire == VARINT && f.number <= 20 && VALUE[f.number]) s->value[VALUE[f.number]] = (int64_t)f.value;
        if (f.wire != LENGTH) continue;
        if (f.number == 6 && !extra(s, f.body)) return 0;
        if (f.number == 17 && (s->name = number_of(s, f.body)) < 0) return 0;
        if (f.number == 21 && !launch(s, f.body)) return 0;
    }
    return 1;
}

/* The number of a sequence, a clock or flags: they have 32 bits. */
static int small(int64_t *into, const Field *f) {
    *into = (int64_t)f->value;
    return f->value < MOST_SMALL;
}

static int packet(Scan *s, Span in) {
    Field f;
    int64_t flags = 0, cleared = 0;
    Span events[4]; /* read when all of the packet is known: its sequence names what they say */
    int stages[4], count = 0;
    for (Bytes p = in.at; p < in.end;) {
        if (!(p = field_at(p, in.end, &f))) return 0;
        switch (f.number) {
        case 8: if (f.wire == VARINT) s->value[AT] = (int64_t)f.value; break;
        case 10: if (f.wire == VARINT && !small(&s->head.sequence, &f)) return 0; break;
        case 58: if (f.wire == VARINT && !small(&s->head.clock, &f)) return 0; break;
        case 13:
            if (f.wire == VARINT && !small(&cleared, &f)) return 0;
            if (f.wire == VARINT) flags |= cleared;
            break;
        case 41: if (f.wire == VARINT) flags |= f.value & 1; break;
        case 42: if (f.wire == VARINT) s->dropped = f.value != 0; break;
        case 87: if (f.wire == VARINT && f.value) s->dropped = 0; break;
        case 11:
        case 53:
            if (f.wire != LENGTH) break;
            if (count == 4) return 0;
            if (f.number == 53 && !s->head.stage)
                for (int v = NAME_IID + 1; v < VALUES; v++) s->value[v] = NONE;
            s->head.stage |= f.number == 53;
            stages[count] = f.number == 53, events[count++] = f.body;
            break;
        case 59: s->marks |= DEFAULTS; /* fall through */
        case 2: case 5: case 6: case 12: case 60: s->marks |= RARE; break;
        }
    }
    if (flags & 1) s->marks |= RESET;
    for (int k = 0; k < count; k++)
        if (!(stages[k] ? stage(s, events[k]) : event(s, events[k]))) return 0;
    return 1;
}

/* Whether the events of a track are kept; those of none are. */
static int is_kept(const Room *r, int64_t track) {
    int64_t low = 0, high = r->track_count;
    if (!high || track == NONE) return 1;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (r->tracks[middle] <= track) low = middle;
        else high = middle;
    }
    return r->tracks[low] == track;
}

/* What is emitted of the packet at hand; the block is not read further where there is no room. */
static int emit(Scan *s, int64_t args) {
    Room *r = s->room;
    const Head *h = &s->head;
    int64_t *row, *values, *count, most = r->most_rows, width;
    int32_t *heads;
    r->dropped += s->dropped;
    r->counted += (h->kind || h->stage) && h->kind != END;
    if (s->marks) {
        if (r->marked == most) return 0;
        r->mark_row[r->marked] = s->ordinal, r->mark_sequence[r->marked] = h->sequence, r->marks[r->marked++] = s->marks;
    }
    if (h->stage) row = r->stage_row, values = r->stage_values, count = &r->stages, heads = r->stage_head, width = VALUES;
    else if (h->kind == BEGIN || h->kind == END) {
        if (!is_kept(r, s->value[TRACK])) return 1;
        row = r->event_row, values = r->event_values, count = &r->events, heads = r->event_head, width = NAME_IID + 1;
    } else { /* its arguments are not read, its time only where the next one may count from it */
        while (r->args > args) r->key_counts[r->arg_key[--r->args]]--;
        if (!r->stepped || s->value[AT] == NONE) return 1;
        s->name = NONE;
        row = r->other_row, values = r->other_values, count = &r->others, heads = r->other_head, width = AT + 1;
    }
    if (*count == most || r->names == most || (heads[*count] = (int32_t)head_of(s)) < 0) return 0;
    row[*count] = s->ordinal;
    for (int64_t k = 0; k < width; k++) values[k * most + *count] = s->value[k];
    ++*count;
    if (s->name != NONE) r->name_row[r->names] = s->ordinal, r->name_text[r->names++] = s->name;
    return 1;
}

/* The arguments of each key together, in the file's order. */
static void group(Room *r) {
    int64_t at = 0;
    for (int64_t k = 0; k < r->key_count; k++) {
        int64_t count = r->key_counts[k] == SKIPPED ? 0 : r->key_counts[k];
        r->key_counts[k] = at, at += count;
    }
    for (int64_t k = 0; k < r->args; k++) {
        int64_t place = r->key_counts[r->arg_key[k]]++;
        r->arg_rows[place] = r->arg_row[k], r->arg_values[place] = r->arg_value[k];
    } /* each count is now where the arguments of its key end */
}

/* Read `count` packets into the room; the number of the first of them is `first`. Zero, or why they are not read. */
int64_t scan(Bytes data, const int64_t *starts, const int64_t *lengths, int64_t count, int64_t first, Room *room) {
    Scan s;
    memset(&s, 0, sizeof s);
    s.room = room, s.data = data;
    for (int64_t k = 0; k < count; k++) {
        int64_t args = room->args;
        s.ordinal = first + k;
        s.head = (Head){0, 0, 0, 0, NONE, 0};
        s.value[AT] = s.value[TRACK] = s.value[NAME_IID] = NONE;
        s.name = NONE, s.marks = s.dropped = 0;
        if (!packet(&s, (Span){data + starts[k], data + starts[k] + lengths[k]})) return ODD;
        if (s.marks & DEFAULTS) room->stepped = 1;
        if (!emit(&s, args)) return ODD;
    }
    group(room);
    return 0;
}

/* The number of each value among the distinct ones, in the order in which they come: how many there are, or ODD. */
int64_t number(const int64_t *values, int64_t count, int32_t *numbers, int64_t *distinct, int64_t most) {
    int32_t table[TABLE] = {0};
    int64_t found = 0;
    for (int64_t k = 0; k < count; k++) {
        uint64_t at = mixed(0, (uint64_t)values[k]) >> 8 & (TABLE - 1);
        while (table[at] && distinct[table[at] - 1] != values[k]) at = (at + 1) & (TABLE - 1);
        if (!table[at]) {
            if (found == most || found == TABLE / 4) return ODD;
            distinct[found] = values[k], table[at] = (int32_t)++found;
        }
        numbers[k] = table[at] - 1;
    }
    return found;
}

/* Put each value where its packet's row is, and say so; `where` has -1 for packets that have none. */
int64_t lay(const int32_t *where, const int64_t *ordinals, const int64_t *values, int64_t count, int64_t *laid,
            uint8_t *known) {
    for (int64_t k = 0; k < count; k++) {
        int32_t row = where[ordinals[k]];
        if (row >= 0) laid[row] = values[k], known[row] = 1;
    }
    return 0;
}

/* Rows in the order of `at`, of one instant those that are no begins first, else as they come; `spare` is as long. */
static void sort(int64_t *rows, int64_t *spare, int64_t count, const int64_t *at, const uint8_t *begins) {
    int64_t half = count / 2, left = 0, right = half, k = 0;
    if (count < 2) return;
    sort(rows, spare, half, at, begins), sort(rows + half, spare + half, count - half, at, begins);
#define AFTER(a, b) (at[a] > at[b] || (at[a] == at[b] && begins[a] > begins[b]))
    if (!AFTER(rows[half - 1], rows[half])) return;
    memcpy(spare, rows, (size_t)half * sizeof *rows);
    while (left < half && right < count) rows[k++] = AFTER(spare[left], rows[right]) ? rows[right++] : spare[left++];
    memcpy(rows + k, spare + left, (size_t)(half - left) * sizeof *rows);
}

/* Begins and ends as slices.py pairs them.
 *
 * `first`: where each of `most` tracks begins in `rows`, and where the last one ends. `rows` and `before` have room for
 * a number a row. `ends`: of a begin the row of its end, or -1; of an end -1 where it has no begin, else -2.
 */
int64_t pair(const int32_t *tracks, const int64_t *at, const uint8_t *begins, int64_t count, int64_t *first,
             int64_t most, int64_t *rows, int64_t *before, int64_t *ends) {
    int in_order = 1;
    memset(first, 0, (size_t)(most + 1) * sizeof *first);
    for (int64_t k = 0; k < count; k++) first[tracks[k]]++;
    for (int64_t k = 0, sum = 0, size; k <= most; k++) size = first[k], first[k] = sum, sum += size;
    for (int64_t k = 0; k < count; k++) rows[first[tracks[k]]++] = k;
    for (int64_t k = most; k > 0; k--) first[k] = first[k - 1];
    first[0] = 0;
    for (int64_t k = 1; k < count; k++)
        in_order &= tracks[rows[k]] != tracks[rows[k - 1]] || at[rows[k]] >= at[rows[k - 1]];
    for (int64_t track = 0; track < most; track++) {
        int64_t size = first[track + 1] - first[track], open = -1, *mine = rows + first[track];
        if (!in_order) sort(mine, before, size, at, begins);
        for (int64_t k = 0; k < size; k++) {
            int64_t row = mine[k];
            ends[row] = -1;
            if (begins[row]) before[row] = open, open = row;
            else if (open >= 0) ends[open] = row, ends[row] = -2, open = before[open];
        }
    }
    return 0;
}
