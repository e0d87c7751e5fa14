/* line_reader.h - the lines of a file one after the other, without copying them and in constant memory.
 *
 * The file is read piece by piece. A line that was handed out stays where it is until it is given back; lines are given
 * back in the order in which they were handed out. So the pieces form a queue, of which the oldest is used again once
 * its last line has been given back. For one thread at a time.
 */
#ifndef LINE_READER_H
#define LINE_READER_H

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_READER_PIECE = 1 << 16 }; /* bytes; no line may be longer */

struct line_piece {
    struct line_piece *next;
    size_t lines; /* handed out and not given back */
    size_t size;
    char text[LINE_READER_PIECE];
};

struct line_reader {
    int fd;
    struct line_piece *oldest, *newest; /* a queue, never empty */
    struct line_piece *spare;           /* a list */
    size_t next_line;                   /* where it begins in the newest piece */
};

static inline int line_reader_append(struct line_reader *reader) {
    struct line_piece *piece = reader->spare;
    if (piece != NULL)
        reader->spare = piece->next;
    else
        piece = malloc(sizeof *piece);
    if (piece == NULL)
        return ENOMEM;
    piece->next = NULL;
    piece->lines = piece->size = 0;
    *(reader->newest != NULL ? &reader->newest->next : &reader->oldest) = piece;
    reader->newest = piece;
    return 0;
}

/* 0 or ENOMEM. */
static inline int line_reader_init(struct line_reader *reader, int fd) {
    *reader = (struct line_reader){.fd = fd};
    return line_reader_append(reader);
}

/* Appends a piece that begins with the unfinished line of the one before. */
static inline int line_reader_read(struct line_reader *reader) {
    const struct line_piece *before = reader->newest;
    int error = line_reader_append(reader);
    if (error != 0)
        return error;
    struct line_piece *piece = reader->newest;
    piece->size = before->size - reader->next_line;
    memcpy(piece->text, before->text + reader->next_line, piece->size);
    reader->next_line = 0;
    ssize_t got;
    do
        got = read(reader->fd, piece->text + piece->size, sizeof piece->text - piece->size);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        return got < 0 ? errno : piece->size > 0 ? EILSEQ : ENODATA;
    piece->size += (size_t)got;
    return 0;
}

/* Hands out the next line, which ends with '\n'. ENODATA: there are no more. EILSEQ: the file ends within a line, or
 * the line is too long. ENOMEM; the errors of read(2). */
static inline int line_reader_next(struct line_reader *reader, char **line) {
    char *begin, *end;
    do {
        begin = reader->newest->text + reader->next_line;
        end = memchr(begin, '\n', reader->newest->size - reader->next_line);
        int error = end == NULL ? line_reader_read(reader) : 0;
        if (error != 0)
            return error;
    } while (end == NULL);
    reader->next_line += (size_t)(end + 1 - begin);
    reader->newest->lines++;
    *line = begin;
    return 0;
}

/* Gives the oldest line back. */
static inline void line_reader_give_back(struct line_reader *reader) {
    while (reader->oldest->lines == 0) {
        struct line_piece *piece = reader->oldest;
        reader->oldest = piece->next;
        piece->next = reader->spare;
        reader->spare = piece;
    }
    reader->oldest->lines--;
}

static inline void line_reader_free(struct line_reader *reader) {
    struct line_piece *lists[] = {reader->oldest, reader->spare};
    for (size_t i = 0; i < 2; i++) {
        while (lists[i] != NULL) {
            struct line_piece *next = lists[i]->next;
            free(lists[i]);
            lists[i] = next;
        }
    }
}

#endif
