#include "launch/prepare/taobao_ads_rows.h"

#include <ctype.h>

#include "launch/prepare/delimited.h"

bool taobao_is_header(const char *line, size_t n, uint64_t number)
{
    return number == 1 && n > 0 && isalpha((unsigned char)line[0]);
}

/* The fields of a line, exactly wanted of them, without the blanks around them. */
static err_t split(char *line, size_t n, field *f, size_t wanted)
{
    size_t n_fields;

    TRY(delimited_split(line, n, ",", false, f, wanted, &n_fields));
    if (n_fields != wanted)
        return err_set(ERR_DATA, "%zu fields, wanted %zu", n_fields, wanted);
    for (size_t i = 0; i < wanted; i++) {
        while (f[i].n > 0 && f[i].at[f[i].n - 1] == ' ')
            f[i].n--;
        for (; f[i].n > 0 && f[i].at[0] == ' '; f[i].n--)
            f[i].at++;
    }
    return OK;
}

/* A number that may be missing. */
static err_t optional(field f, const char *what, uint64_t *x, bool *known)
{
    *known = f.n > 0 && !field_is(f, "NULL");
    *x     = 0;
    return *known ? field_u64(f, what, x) : OK;
}

err_t taobao_parse_shown(char *line, size_t n, taobao_shown *shown)
{
    field f[6];

    TRY(split(line, n, f, 6));
    TRY(field_u64(f[0], "user", &shown->user));
    TRY(field_i64(f[1], "time_stamp", &shown->time));
    TRY(field_u64(f[2], "adgroup_id", &shown->ad));
    shown->place   = f[3];
    shown->clicked = field_is(f[5], "1");
    if (!(shown->clicked ? field_is(f[4], "0") : field_is(f[4], "1") && field_is(f[5], "0")))
        return err_set(ERR_DATA, "nonclk '%.*s' and clk '%.*s', wanted 0 and 1 or 1 and 0",
                       field_shown(f[4]), f[4].at, field_shown(f[5]), f[5].at);
    return OK;
}

err_t taobao_parse_ad(char *line, size_t n, uint64_t *id, taobao_ad *ad)
{
    double price;
    field  f[6];

    TRY(split(line, n, f, 6));
    TRY(field_u64(f[0], "adgroup_id", id));
    TRY(field_u64(f[1], "cate_id", &ad->cate));
    TRY(field_u64(f[2], "campaign_id", &ad->campaign));
    TRY(field_u64(f[3], "customer", &ad->customer));
    TRY(optional(f[4], "brand", &ad->brand, &ad->branded));
    TRY(field_double(f[5], "price", &price));
    ad->price = (float)price;
    return OK;
}

err_t taobao_parse_profile(char *line, size_t n, uint64_t *user, taobao_profile *p)
{
    field f[1 + TAOBAO_CODES];

    TRY(split(line, n, f, 1 + TAOBAO_CODES));
    TRY(field_u64(f[0], "userid", user));
    for (int i = 0; i < TAOBAO_CODES; i++)
        TRY(optional(f[1 + i], "a code of the profile", &p->code[i], &p->known[i]));
    return OK;
}

err_t taobao_parse_deed(char *line, size_t n, taobao_deed *deed)
{
    field f[5];

    TRY(split(line, n, f, 5));
    TRY(field_u64(f[0], "user", &deed->user));
    TRY(field_i64(f[1], "time_stamp", &deed->time));
    deed->what = f[2];
    if (deed->what.n == 0)
        return err_set(ERR_DATA, "btag is empty");
    TRY(field_u64(f[3], "cate", &deed->cate));
    return field_u64(f[4], "brand", &deed->brand);
}
