// Fails an assertion for `/bad/throw`, does not end for `/bad/loop`, recurses for `/bad/recurse`,
// prints for `/prints`.

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "values.h"

static bool asks(const char *path) {
    plugin_string_t asked;
    witgate_plugin_request_path(&asked);
    bool is_it = asked.len == strlen(path) && memcmp(asked.ptr, path, asked.len) == 0;
    plugin_string_free(&asked);
    return is_it;
}

// Of no use, and nothing that a compiler could make a loop of.
static int recurse(volatile int *above) {
    volatile int here[64];
    here[0] = *above + 1;
    return here[0] < 0 ? 0 : recurse(here) + here[0];
}

bool exports_witgate_plugin_lifecycle_configure(plugin_string_t *config, plugin_string_t *error) {
    (void)error;
    plugin_string_free(config);
    return true;
}

void exports_witgate_plugin_routing_route(exports_witgate_plugin_routing_decision_t *decision) {
    assert(!asks("/bad/throw") && "thrown by C");
    volatile int start = 0;
    if (asks("/bad/recurse")) recurse(&start);
    if (asks("/prints")) {
        printf("printed by C, %d\n", 42);
        fflush(stdout);
    }
    while (asks("/bad/loop"));
    decision->tag = EXPORTS_WITGATE_PLUGIN_ROUTING_DECISION_PASS;
}

void exports_witgate_plugin_rewriting_rewrite_request(exports_witgate_plugin_rewriting_list_request_edit_t *edits) {
    *edits = (exports_witgate_plugin_rewriting_list_request_edit_t){NULL, 0};
}

void exports_witgate_plugin_rewriting_rewrite_response(exports_witgate_plugin_rewriting_list_response_edit_t *edits) {
    *edits = (exports_witgate_plugin_rewriting_list_response_edit_t){NULL, 0};
}
