/* Any bytes as a manifest.json: as they are, and with a checksum that fits, so that
 * changes reach the checks behind it. Whatever is accepted must be consistent. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "common/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(const char *text, size_t size)
{
    static table_config goods = {
        .name = "goods", .dim = 18, .optimizer = {.kind = OPTIMIZER_ADAM}};
    static schema_table entry = {&goods, 1};
    const schema        run   = {.n_tables = 1, .tables = &entry};
    manifest            m;

    if (manifest_parse(&m, "fuzz", text, size) != OK)
        return;
    if (m.shards < 1 || m.n_files != m.shards + 1 || m.step < 0 || !m.configuration)
        abort();
    for (int i = 0; i < m.n_files; i++)
        if (strchr(m.files[i].name, '/'))
            abort();
    if (manifest_agrees(&m, "fuzz", &run) == OK && (m.n_tables < 1 || m.schema_hash != 0))
        abort();
    manifest_clear(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *object = json_loadb((const char *)data, size, 0, NULL);

    parse((const char *)data, size);
    if (!json_is_object(object)) {
        json_decref(object);
        return 0;
    }
    json_object_del(object, "xxh3");
    char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
    if (text)
        json_object_set_new(object, "xxh3",
                            json_sprintf("%016" PRIx64, hash_bytes(text, strlen(text))));
    free(text);
    text = json_dumps(object, 0);
    if (text)
        parse(text, strlen(text));
    free(text);
    json_decref(object);
    return 0;
}
