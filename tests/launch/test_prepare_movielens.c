/* dips prepare movielens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/hash.h"
#include "launch/prepare/prepare.h"
#include "tests/launch/prepare_room.h"

static const char movies[] = "10::Toy Story (1995)::Animation|Comedy\n"
                             "20::Heat (1995)::Action|Crime\n"
                             "30::Alien: the film (1979)::Horror\n";

/* User 2 stands between user 1's; user 1's are not in order, and two are of one second. */
static const char ratings[] = "1::20::4::300\n"
                              "1::10::5::100\n"
                              "2::10::3::150\n"
                              "1::30::2::300\n";

#define ML "--ratings @ratings --movies @movies --out @out "

static uint64_t genre(const char *name)
{
    return hash_bytes(name, strlen(name));
}

static void a_sample_has_the_earlier_ratings_of_its_user(void **state)
{
    (void)state;
    write_text(inside("movies"), movies);
    write_text(inside("ratings"), ratings);
    run_well(prepare_movielens, ML "--test-users 0");
    safetensors *file = open_file("out/train-00000.safetensors");
    EXPECT_U64(file, "user", 1, 1, 1, 2);
    EXPECT_U64(file, "movie", 10, 20, 30, 10);
    EXPECT_U64(file, "genre", genre("Animation"), genre("Action"), genre("Horror"),
               genre("Animation"));
    EXPECT_DOUBLE(file, "label", 1, 1, 0, 0);
    EXPECT_U64(file, "time", 100, 300, 300, 150);
    EXPECT_U64(file, "history.offsets", 0, 0, 1, 3, 3);
    EXPECT_U64(file, "history.movie", 10, 10, 20);
    EXPECT_U64(file, "history.genre", genre("Animation"), genre("Animation"), genre("Action"));
    EXPECT_U64(file, "history.rating", 10, 10, 8);
    EXPECT_U64(file, "history.time", 100, 100, 300);
    safetensors_close(&file);

    safetensors *counts = open_file("out/counts.safetensors");
    assert_int_equal(count_of(counts, "movie", 10), 4);
    assert_int_equal(count_of(counts, "movie", 20), 2);
    assert_int_equal(count_of(counts, "movie", 30), 1);
    assert_int_equal(count_of(counts, "user", 1), 3);
    assert_int_equal(count_of(counts, "rating", 10), 2);
    assert_int_equal(count_of(counts, "rating", 4), 0); /* of no history */
    safetensors_close(&counts);
}

static void histories_keep_the_newest_and_may_be_wanted(void **state)
{
    (void)state;
    write_text(inside("movies"), movies);
    write_text(inside("ratings"), ratings);
    run_well(prepare_movielens, ML "--test-users 0 --max-len 1 --min-history 1 --min-rating 2");
    safetensors *file = open_file("out/train-00000.safetensors");
    EXPECT_U64(file, "movie", 20, 30);
    EXPECT_DOUBLE(file, "label", 1, 1);
    EXPECT_U64(file, "history.movie", 10, 20);
    safetensors_close(&file);
    safetensors *counts = open_file("out/counts.safetensors");
    assert_int_equal(count_of(counts, "movie", 10), 1); /* what was cut off is not counted */
    safetensors_close(&counts);
}

static void beside_each_rating_stands_a_movie_that_it_was_not(void **state)
{
    (void)state;
    write_text(inside("movies"), movies);
    write_text(inside("ratings"), ratings);
    run_well(prepare_movielens, ML "--test-users 0 --negatives uniform");
    safetensors *file = open_file("out/train-00000.safetensors");
    EXPECT_U64(file, "history.movie", 10, 10, 20);
    assert_true(u64_at(file, "history.negative_movie", 0) ==
                u64_at(file, "history.negative_movie", 1)); /* of the same rating */
    for (uint64_t i = 0; i < 3; i++) {
        uint64_t movie = u64_at(file, "history.negative_movie", i);
        assert_true(movie != u64_at(file, "history.movie", i));
        assert_true(u64_at(file, "history.negative_genre", i) ==
                    genre(movie == 10   ? "Animation"
                          : movie == 20 ? "Action"
                                        : "Horror"));
    }
    safetensors_close(&file);
    run_well(prepare_movielens, "--ratings @ratings --movies @movies --out @b --test-users 0 "
                                "--negatives popularity --history-days 0.002");
    file = open_file("b/train-00000.safetensors"); /* 172.8 seconds */
    EXPECT_U64(file, "history.offsets", 0, 0, 0, 1, 1);
    EXPECT_U64(file, "history.movie", 20);
    safetensors_close(&file);
    write_text(inside("ratings"), "1::10::5::100\n1::10::4::200\n");
    run_badly(prepare_movielens, ML "--overwrite --negatives uniform", ERR_DATA,
              "fewer than two items occur");
}

/* User 1 rated 10, then 20 and 30 in one second, then 40. */
static void what_was_rated_in_one_second_stood_on_one_page(void **state)
{
    (void)state;
    write_text(inside("movies"), "10::A::x\n20::B::y\n30::C::y\n40::D::z\n");
    write_text(inside("ratings"),
               "1::10::5::100\n1::20::4::300\n1::30::2::300\n1::40::3::400\n");
    run_well(prepare_movielens, ML "--test-users 0 --auxiliary 2 --negatives uniform");
    safetensors *file = open_file("out/train-00000.safetensors");
    EXPECT_U64(file, "movie", 10, 20, 30, 40);
    EXPECT_U64(file, "contextual.offsets", 0, 0, 0, 1, 1);
    EXPECT_U64(file, "contextual.movie", 20);
    EXPECT_U64(file, "contextual.genre", genre("y"));
    EXPECT_U64(file, "clicked.offsets", 0, 0, 1, 2, 4);
    EXPECT_U64(file, "clicked.movie", 10, 10, 10, 20);
    EXPECT_U64(file, "unclicked.offsets", 0, 0, 0, 0, 1);
    EXPECT_U64(file, "unclicked.movie", 30);
    EXPECT_U64(file, "history.movie", 10, 10, 20, 10, 20, 30);
    assert_non_null(safetensors_find(file, "history.negative_movie"));
    safetensors_close(&file);

    run_well(prepare_movielens, "--ratings @ratings --movies @movies --out @b --test-users 0 "
                                "--auxiliary 1");
    file = open_file("b/train-00000.safetensors");
    EXPECT_U64(file, "clicked.movie", 10, 10, 20); /* the newest */
    assert_null(safetensors_find(file, "history.negative_movie"));
    safetensors_close(&file);
}

static uint64_t users_of(const char *name, bool seen[101])
{
    safetensors *file = open_file(name);
    uint64_t     n    = tensor_of(file, "user")->count;

    for (uint64_t i = 0; i < n; i++)
        seen[u64_at(file, "user", i)] = true;
    safetensors_close(&file);
    return n;
}

static void users_to_choose_by_come_from_those_that_train(void **state)
{
    char ratings_of_all[100 * 32] = "";
    bool test[101] = {0}, both[101] = {0}, test_too[101] = {0}, train[101] = {0};

    (void)state;
    for (int user = 1, at = 0; user <= 100; user++)
        at += sprintf(ratings_of_all + at, "%d::10::5::%d\n", user, 100 + user);
    write_text(inside("movies"), movies);
    write_text(inside("ratings"), ratings_of_all);
    run_well(prepare_movielens, ML "--test-users 0.3");
    run_well(prepare_movielens, "--ratings @ratings --movies @movies --out @b --test-users 0.3 "
                                "--valid-users 0.2");
    users_of("out/test-00000.safetensors", test);
    users_of("b/test-00000.safetensors", test_too);
    assert_memory_equal(test, test_too, sizeof test);
    users_of("out/train-00000.safetensors", both);
    uint64_t valid = users_of("b/valid-00000.safetensors", train);
    assert_in_range(valid, 10, 30);
    assert_int_equal(users_of("b/train-00000.safetensors", train) + valid,
                     users_of("out/train-00000.safetensors", both));
    assert_memory_equal(train, both, sizeof both);
}

static void csv_and_gzip_give_the_same_samples(void **state)
{
    (void)state;
    write_text(inside("movies"), movies);
    write_text(inside("ratings"), ratings);
    run_well(prepare_movielens, ML);
    write_gzip("movies.csv.gz", "movieId,title,genres\r\n"
                                "10,Toy Story (1995),Animation|Comedy\r\n"
                                "20,\"Heat, \"\"the\"\" film (1995)\",Action|Crime\r\n"
                                "30,Alien (1979),Horror\r\n");
    write_gzip("ratings.csv.gz", "userId,movieId,rating,timestamp\n"
                                 "1,20,4.0,300\n1,10,5.0,100\n2,10,3.0,150\n1,30,2,300\n");
    run_well(prepare_movielens, "--ratings @ratings.csv.gz --movies @movies.csv.gz --out @csv");
    /* line numbers of the two differ by the header, which the order of ties must not see */
    check_same_folder("out", "csv");
}

static void bad_lines_are_named_or_skipped_and_counted(void **state)
{
    (void)state;
    write_text(inside("movies"), movies);
    write_text(inside("ratings"),
               "1::20::4::300\n1::10::9x::100\n1::99::3::100\n1::10\n1::10::5::100\n");
    run_badly(prepare_movielens, ML, ERR_DATA, "ratings:2: rating '9x' is not a number");
    assert_int_equal(count_files("out/*"), 2); /* nothing but . and .. */
    run_badly(prepare_movielens, ML "--max-bad 1", ERR_DATA,
              "more than 1 bad lines: ");
    run_badly(prepare_movielens, ML "--max-bad 2", ERR_DATA, "ratings:4: 2 fields, wanted 4");
    run_well(prepare_movielens, ML "--max-bad 3 --test-users 0");
    safetensors *file = open_file("out/train-00000.safetensors");
    EXPECT_U64(file, "movie", 10, 20);
    safetensors_close(&file);
}

static void what_cannot_be_samples_is_refused(void **state)
{
    (void)state;
    write_text(inside("movies"), movies);
    write_text(inside("ratings"), "");
    run_badly(prepare_movielens, ML, ERR_DATA, "has no ratings");
    write_text(inside("ratings"), "1::10::0::100\n");
    run_badly(prepare_movielens, ML, ERR_DATA, "rating '0' is not one of 0.5, 1");
    write_text(inside("ratings"), "1::10::3.7::100\n");
    run_badly(prepare_movielens, ML, ERR_DATA, "rating '3.7' is not one of");
    write_text(inside("ratings"), "1::99::3::100\n");
    run_badly(prepare_movielens, ML, ERR_DATA, "ratings:1: movie 99 is not in ");
    write_text(inside("movies"), "10::A::B\n10::C::D\n");
    run_badly(prepare_movielens, ML, ERR_DATA, "movies:2: movie 10 was there before");
    run_badly(prepare_movielens, "--ratings @nothing --movies @movies --out @out", ERR_DATA,
              "movie");
    run_badly(prepare_movielens, "--ratings @ratings --movies @nothing --out @out", ERR_DATA,
              "nothing: No such file");
    run_badly(prepare_movielens, ML "--split week", ERR_USAGE, "is not one of user|time");
    assert_int_equal(count_files("out/*"), 2);
}

/* ---- the whole of latest-small, against a plain program ---- */

typedef struct rating {
    unsigned user, movie, half_stars;
    long     time;
} rating;

#define RATINGS 100836
#define MAX_LEN 7

static rating all[RATINGS];

/* Unpack a file of latest-small into the room; false where it is not to be had. */
static bool unpack(const char *name)
{
    const char *shared = getenv("DIPS_SHARED");
    char        line[1024];

    snprintf(line, sizeof line,
             "unzip -p %s/data/ml-latest-small/ml-latest-small.zip ml-latest-small/%s > %s/%s "
             "2> /dev/null",
             shared ? shared : DIPS_SOURCE "/../shared", name, room, name);
    return system(line) == 0;
}

static void read_ratings(void)
{
    FILE *file = fopen(inside("ratings.csv"), "r");
    char  line[200];

    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    for (size_t i = 0; i < RATINGS; i++) {
        double stars;
        assert_int_equal(fscanf(file, "%u,%u,%lf,%ld", &all[i].user, &all[i].movie, &stars,
                                &all[i].time),
                         4);
        all[i].half_stars = (unsigned)(2 * stars);
    }
    fclose(file);
}

/* The i-th line's place among its user's by (time, line), and whose line is at the place. */
static size_t earlier_ones(size_t i, size_t *lines)
{
    size_t n = 0;

    for (size_t j = 0; j < RATINGS; j++)
        if (all[j].user == all[i].user &&
            (all[j].time < all[i].time || (all[j].time == all[i].time && j < i)))
            lines[n++] = j;
    for (size_t a = 1; a < n; a++) /* insertion sort by time; lines are in order already */
        for (size_t b = a; b > 0 && all[lines[b - 1]].time > all[lines[b]].time; b--) {
            size_t moved = lines[b];
            lines[b]     = lines[b - 1];
            lines[b - 1] = moved;
        }
    return n;
}

static void check_sample(const safetensors *file, uint64_t sample)
{
    static size_t lines[RATINGS];
    uint64_t      begin = u64_at(file, "history.offsets", sample);
    uint64_t      end   = u64_at(file, "history.offsets", sample + 1);
    size_t        i     = 0;

    while (all[i].user != u64_at(file, "user", sample) ||
           all[i].movie != u64_at(file, "movie", sample))
        i++;
    size_t n = earlier_ones(i, lines), kept = n < MAX_LEN ? n : MAX_LEN;
    assert_int_equal(end - begin, kept);
    assert_int_equal(u64_at(file, "time", sample), all[i].time);
    assert_true(safetensors_get_double(tensor_of(file, "label"), sample) ==
                (all[i].half_stars >= 8));
    for (size_t k = 0; k < kept; k++) {
        const rating *want = &all[lines[n - kept + k]];
        assert_int_equal(u64_at(file, "history.movie", begin + k), want->movie);
        assert_int_equal(u64_at(file, "history.rating", begin + k), want->half_stars);
        assert_int_equal(u64_at(file, "history.time", begin + k), want->time);
        assert_true(want->time <= all[i].time); /* never a later one */
    }
}

static void no_history_of_latest_small_has_a_later_rating(void **state)
{
    const char *const splits[] = {"train", "valid", "test"};
    uint64_t          samples = 0, last = 0;

    (void)state;
    if (!unpack("ratings.csv") || !unpack("movies.csv")) {
        print_message("skipped: latest-small or unzip is not there\n");
        skip();
    }
    read_ratings();
    run_well(prepare_movielens, "--ratings @ratings.csv --movies @movies.csv --out @out "
                                "--split time --max-len 7 --memory 8M");
    for (int s = 0; s < 3; s++) {
        uint64_t first = UINT64_MAX, newest = 0;
        size_t   shards = 0;
        char     name[64];
        for (;; shards++) {
            snprintf(name, sizeof name, "out/%s-%05zu.safetensors", splits[s], shards);
            if (access(inside(name), F_OK) != 0)
                break;
            safetensors *file = open_file(name);
            uint64_t     n    = tensor_of(file, "label")->count;
            for (uint64_t i = 0; i < n; i++) {
                uint64_t time = u64_at(file, "time", i);
                first         = time < first ? time : first;
                newest        = time > newest ? time : newest;
                if ((samples + i) % 97 == 0)
                    check_sample(file, i);
            }
            samples += n;
            safetensors_close(&file);
        }
        assert_true(shards > 0);
        assert_true(first > last); /* the splits follow one another in time */
        last = newest;
    }
    assert_int_equal(samples, RATINGS);
}

static void memory_changes_nothing_but_the_number_of_shards(void **state)
{
    (void)state;
    if (!unpack("ratings.csv") || !unpack("movies.csv")) {
        print_message("skipped: latest-small or unzip is not there\n");
        skip();
    }
    run_well(prepare_movielens,
             "--ratings @ratings.csv --movies @movies.csv --out @a --max-len 7");
    run_well(prepare_movielens,
             "--ratings @ratings.csv --movies @movies.csv --out @b --max-len 7 --memory 6M");
    size_t n_a, n_b;
    char  *a = read_bytes(inside("a/counts.safetensors"), &n_a);
    char  *b = read_bytes(inside("b/counts.safetensors"), &n_b);
    assert_int_equal(n_a, n_b);
    assert_memory_equal(a, b, n_a);
    free(a);
    free(b);
    safetensors *big = open_file("a/train-00000.safetensors");
    safetensors *small = open_file("b/train-00001.safetensors");
    uint64_t     before = 0;
    safetensors *first  = open_file("b/train-00000.safetensors");
    before              = tensor_of(first, "label")->count;
    for (uint64_t i = 0; i < tensor_of(small, "label")->count; i++)
        assert_int_equal(u64_at(small, "movie", i), u64_at(big, "movie", before + i));
    safetensors_close(&first);
    safetensors_close(&small);
    safetensors_close(&big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_ROOM(a_sample_has_the_earlier_ratings_of_its_user),
        IN_ROOM(histories_keep_the_newest_and_may_be_wanted),
        IN_ROOM(beside_each_rating_stands_a_movie_that_it_was_not),
        IN_ROOM(what_was_rated_in_one_second_stood_on_one_page),
        IN_ROOM(users_to_choose_by_come_from_those_that_train),
        IN_ROOM(csv_and_gzip_give_the_same_samples),
        IN_ROOM(bad_lines_are_named_or_skipped_and_counted),
        IN_ROOM(what_cannot_be_samples_is_refused),
        IN_ROOM(no_history_of_latest_small_has_a_later_rating),
        IN_ROOM(memory_changes_nothing_but_the_number_of_shards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
