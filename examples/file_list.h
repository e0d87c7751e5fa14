/* file_list.h - the regular files below a directory, sorted by path, for checksums.c and gzip.c. Symbolic links below
 * it are not followed. What cannot be listed is reported on stderr, and the rest goes on.
 */
#ifndef FILE_LIST_H
#define FILE_LIST_H

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "demo.h"

struct file_list {
    const char *program; /* for messages */
    char **path;
    size_t n, capacity;
    bool incomplete; /* something could not be listed */
};

static inline void file_list_skip(struct file_list *list, const char *path, int error) {
    demo_error(list->program, path, error);
    list->incomplete = true;
}

/* Appends a file; the path is now the list's. */
static inline int file_list_add(struct file_list *list, char *path) {
    if (list->n == list->capacity) {
        size_t capacity = list->capacity * 2 + 64;
        char **paths = realloc(list->path, capacity * sizeof *paths);
        if (paths == NULL)
            return ENOMEM;
        list->path = paths;
        list->capacity = capacity;
    }
    list->path[list->n++] = path;
    return 0;
}

static inline void file_list_directory(struct file_list *list, const char *path);

static inline void file_list_entry(struct file_list *list, const char *directory, const char *name) {
    struct stat status;
    char *path;
    size_t length = strlen(directory);
    const char *slash = length > 0 && directory[length - 1] == '/' ? "" : "/";

    if (asprintf(&path, "%s%s%s", directory, slash, name) < 0) {
        file_list_skip(list, name, ENOMEM);
        return;
    }
    if (lstat(path, &status) != 0)
        file_list_skip(list, path, errno);
    else if (S_ISDIR(status.st_mode))
        file_list_directory(list, path);
    else if (S_ISREG(status.st_mode) && file_list_add(list, path) == 0)
        return;
    else if (S_ISREG(status.st_mode))
        file_list_skip(list, path, ENOMEM);
    free(path);
}

static inline void file_list_directory(struct file_list *list, const char *path) {
    DIR *directory = opendir(path);
    if (directory == NULL) {
        file_list_skip(list, path, errno);
        return;
    }
    struct dirent *entry;
    while (errno = 0, (entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            file_list_entry(list, path, entry->d_name);
    }
    if (errno != 0)
        file_list_skip(list, path, errno);
    closedir(directory);
}

static inline int file_list_by_path(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* To be freed by file_list_free(). */
static inline struct file_list file_list_below(const char *directory, const char *program) {
    struct file_list list = {.program = program};
    file_list_directory(&list, directory);
    if (list.n > 0)
        qsort(list.path, list.n, sizeof list.path[0], file_list_by_path);
    return list;
}

static inline void file_list_free(struct file_list *list) {
    for (size_t i = 0; i < list->n; i++)
        free(list->path[i]);
    free(list->path);
}

#endif
