// Sends `/api/*` to a pool and marks the answers.

#include <string.h>

#include "json.h"
#include "values.h"

static const char *pool;

bool exports_witgate_plugin_lifecycle_configure(plugin_string_t *config, plugin_string_t *error) {
    json_t table = json_read((const char *)config->ptr, config->len);
    pool = json_string(json_member(table, "pool"), NULL);
    plugin_string_free(config);
    return pool != NULL || refuse(error, "pool: expected the name of a pool");
}

static bool is_api(void) {
    static const char api[] = "/api/";
    plugin_string_t path;
    witgate_plugin_request_path(&path);
    bool is_api = path.len >= strlen(api) && memcmp(path.ptr, api, strlen(api)) == 0;
    plugin_string_free(&path);
    return is_api;
}

void exports_witgate_plugin_routing_route(exports_witgate_plugin_routing_decision_t *decision) {
    decision->tag = EXPORTS_WITGATE_PLUGIN_ROUTING_DECISION_PASS;
    if (!is_api()) return;
    decision->tag = EXPORTS_WITGATE_PLUGIN_ROUTING_DECISION_FORWARD;
    exports_witgate_plugin_routing_forward_t *forward = &decision->val.forward;
    *forward = (exports_witgate_plugin_routing_forward_t){.rule = {.is_some = true}};
    plugin_string_dup(&forward->pool, pool);
    plugin_string_dup(&forward->rule.val, "c");
}

void exports_witgate_plugin_rewriting_rewrite_request(exports_witgate_plugin_rewriting_list_request_edit_t *edits) {
    *edits = (exports_witgate_plugin_rewriting_list_request_edit_t){NULL, 0};
}

void exports_witgate_plugin_rewriting_rewrite_response(exports_witgate_plugin_rewriting_list_response_edit_t *edits) {
    edits->len = 1;
    edits->ptr = elements(1, sizeof(*edits->ptr));
    edits->ptr->tag = WITGATE_PLUGIN_TYPES_RESPONSE_EDIT_SET;
    edits->ptr->val.set = field("x-routed-by", bytes("c"));
}
