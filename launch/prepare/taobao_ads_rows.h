/* taobao_ads_rows - lines of Alibaba's display-ad tables, each with a header.
 *
 *     raw_sample    user,time_stamp,adgroup_id,pid,nonclk,clk
 *                   581738,1494137644,1,430548_1007,1,0
 *     ad_feature    adgroup_id,cate_id,campaign_id,customer,brand,price
 *                   63133,6406,83237,1,95471,170.0
 *     user_profile  userid,cms_segid,cms_group_id,final_gender_code,age_level,pvalue_level,...
 *                   234,0,5,2,5,,3,0,3
 *     behavior_log  user,time_stamp,btag,cate,brand
 *                   558157,1493741625,pv,6250,91286
 *
 * A brand or a code of a profile may be missing: empty, or NULL. */
#ifndef DIPS_LAUNCH_PREPARE_TAOBAO_ADS_ROWS_H
#define DIPS_LAUNCH_PREPARE_TAOBAO_ADS_ROWS_H

#include "launch/prepare/field.h"

#define TAOBAO_CODES 8 /* of a profile */

typedef struct taobao_shown {
    uint64_t user, ad;
    int64_t  time;
    field    place; /* pid; lent by the line */
    bool     clicked;
} taobao_shown;

typedef struct taobao_ad {
    uint64_t cate, campaign, customer, brand;
    bool     branded;
    float    price;
} taobao_ad;

typedef struct taobao_profile {
    bool     known[TAOBAO_CODES];
    uint64_t code[TAOBAO_CODES]; /* in the order of the file, from cms_segid on */
} taobao_profile;

typedef struct taobao_deed {
    uint64_t user;
    int64_t  time;
    field    what; /* btag; lent by the line */
    uint64_t cate, brand;
} taobao_deed;

/* Parse a line that is no header. */
MUST_CHECK err_t taobao_parse_shown(char *line, size_t n, taobao_shown *shown);
MUST_CHECK err_t taobao_parse_ad(char *line, size_t n, uint64_t *id, taobao_ad *ad);
MUST_CHECK err_t taobao_parse_profile(char *line, size_t n, uint64_t *user, taobao_profile *p);
MUST_CHECK err_t taobao_parse_deed(char *line, size_t n, taobao_deed *deed);

/* Whether line number of a file is its header, which begins with a name. */
bool taobao_is_header(const char *line, size_t n, uint64_t number);

#endif
