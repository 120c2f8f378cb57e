/* Runs the files that it is given, and says which one it is at. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    INPUT_BYTES_MAX = 1 << 20
};

int main(int argc, char **argv) {
    static uint8_t bytes[INPUT_BYTES_MAX];

    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (file == NULL) {
            perror(argv[i]);
            return EXIT_FAILURE;
        }
        const size_t length = fread(bytes, 1, sizeof bytes, file);
        (void)fclose(file);
        (void)printf("%s\n", argv[i]);
        (void)fflush(stdout);
        /* Of its exact size, so that a read behind its end is seen. */
        uint8_t *copy = malloc(length > 0 ? length : 1);
        if (copy == NULL) {
            perror("malloc");
            return EXIT_FAILURE;
        }
        for (size_t at = 0; at < length; at++) {
            copy[at] = bytes[at];
        }
        (void)LLVMFuzzerTestOneInput(copy, length);
        free(copy);
    }
    (void)printf("%d passed, 0 failed\n", argc - 1);
    return argc > 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}
