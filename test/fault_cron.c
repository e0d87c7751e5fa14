/* fault_cron.c - every allocation for a time zone made to fail in turn. How it goes is in fault_trial.h. */
#include "fault_trial.h"

#include "../lib/zone.h"

static void next_in(const char *zone) {
    time_t when = 4242;
    errno = 4242;
    fault_arm();
    int error = exec_cron_next("0 0 1 1 *", zone, 0, &when);
    fault_disarm();
    CHECK_FAULT(error);
    CHECK_EQ(errno, 4242);
    CHECK_EQ(when == 4242, error != 0);
}

static void next_by_name(void) {
    next_in("Europe/Berlin");
}

static void next_by_rule(void) {
    CHECK_EQ(setenv("TZ", "XYZ-1", 1), 0);
    next_in(NULL);
}

static void next_by_no_rule(void) {
    CHECK_EQ(setenv("TZ", "", 1), 0);
    next_in(NULL);
}

static void without_a_local_file(void) {
    struct exec__zone *zone = NULL;
    fault_arm();
    int error = exec__zone_load_local(NULL, "/none", &zone);
    fault_disarm();
    CHECK_FAULT(error);
    CHECK_EQ(zone == NULL, error != 0);
    exec__zone_free(zone);
}

static void check_expression(void) {
    unsigned before = atomic_load(&fault.calls);
    fault_arm();
    CHECK_ERROR(exec_cron_check("*/5 * * * *", NULL), 0);
    fault_disarm();
    CHECK_EQ(atomic_load(&fault.calls), before);
}

static const struct scenario scenarios[] = {
    {"next, by name", next_by_name, true},
    {"next, by a rule", next_by_rule, true},
    {"next, without a rule", next_by_no_rule, true},
    {"without a local file", without_a_local_file, true},
    {"check", check_expression, false},
};

int main(int argc, char **argv) {
    unsetenv("TZDIR");
    if (access("/usr/share/zoneinfo/Europe/Berlin", R_OK) != 0) {
        fprintf(stderr, "there is no tz database in /usr/share/zoneinfo: install the package tzdata\n");
        return 1;
    }
    return fault_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
