/* A small NVML: what it answers stands in the file named by FAKE_NVML_STATE, one "key value" per line, read anew at
   every call. Keys: count, init (return code), energy_mj, power_mw, average_mw, <field id>.ret (return code of one
   field), fields.ret, total.ret (of all fields at once, of the counter's own call), lost (number of a GPU that is listed
   and cannot be reached), mig (1: divided), heat_ns, power_ns, stamp_us, auto (1: energy grows with the clock at power_mw in ticks of tick_ms), driver
   (58082 is 580.82; it decides which ids are the slowdown counters), samples (entries of the driver's ring buffer). */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    uint32_t fieldId, scopeId;
    int64_t timestamp, latencyUsec;
    uint32_t valueType, nvmlReturn;
    union { double d; uint32_t ui; unsigned long long ull; } value;
} field_t;
typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned gpu, memory; } utilization_t;
typedef struct { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; } process_t;

static long long setting(const char *key, long long otherwise) {
    const char *path = getenv("FAKE_NVML_STATE");
    FILE *file = path ? fopen(path, "r") : NULL;
    char name[64];
    long long value, found = otherwise;
    if (!file) return otherwise;
    while (fscanf(file, "%63s %lld", name, &value) == 2)
        if (!strcmp(name, key)) found = value;
    fclose(file);
    return found;
}
static long long wall_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}
static int handles[8] = {0, 1, 2, 3, 4, 5, 6, 7};

int nvmlInitWithFlags(unsigned flags) { (void)flags; return (int)setting("init", 0); }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { (void)code; return "fake error"; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = (unsigned)setting("count", 1); return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    *handle = &handles[index];
    return (long long)index == setting("lost", -1) ? 15 : 0;
}
int nvmlDeviceGetMigMode(void *h, unsigned *now, unsigned *pending) {
    (void)h;
    *now = *pending = (unsigned)setting("mig", 0);
    return 0;
}
int nvmlDeviceGetTotalEnergyConsumption(void *h, unsigned long long *mj) {
    *mj = (unsigned long long)setting("energy_mj", 1000) + 1000ULL * *(int *)h;
    return (int)setting("total.ret", 3);
}
int nvmlDeviceGetName(void *h, char *text, unsigned n) { (void)h; snprintf(text, n, "NVIDIA Fake 4000"); return 0; }
int nvmlDeviceGetUUID(void *h, char *text, unsigned n) { snprintf(text, n, "GPU-%d", *(int *)h); return 0; }
int nvmlDeviceGetVbiosVersion(void *h, char *text, unsigned n) { (void)h; snprintf(text, n, "1.2"); return 0; }
int nvmlSystemGetDriverVersion(char *text, unsigned n) { 
    long long driver = setting("driver", 59044);
    snprintf(text, n, "%lld.%02lld.01", driver / 100, driver % 100);
    return 0;
}
static unsigned first_slowdown(void) {
    long long driver = setting("driver", 59044);
    return driver >= 58082 ? 269 : driver >= 57500 ? 251 : 0;
}
typedef struct { unsigned long long stamp_us; union { double d; unsigned ui; unsigned long long ull; } value; } sample_t;
int nvmlDeviceGetSamples(void *h, int kind, unsigned long long seen, int *type, unsigned *count, sample_t *samples) {
    (void)h; (void)kind; (void)seen;
    long long entries = setting("samples", 10);
    if (!entries) return 3;
    *type = 1;
    if (samples)
        for (unsigned i = 0; i < *count; i++) {
            samples[i].stamp_us = 1000000ULL + 20000ULL * i;
            samples[i].value.ui = 200000;
        }
    *count = (unsigned)entries;
    return 0;
}
int nvmlDeviceGetEnforcedPowerLimit(void *h, unsigned *mw) { (void)h; *mw = 320000; return 0; }
int nvmlDeviceGetPersistenceMode(void *h, unsigned *mode) { (void)h; *mode = 1; return 0; }
int nvmlDeviceGetMemoryInfo(void *h, memory_t *m) { (void)h; m->total = 24ULL << 30; m->used = 5ULL << 30; return 0; }
int nvmlDeviceGetTemperature(void *h, int kind, unsigned *c) { (void)h; (void)kind; *c = 61; return 0; }
int nvmlDeviceGetClockInfo(void *h, int kind, unsigned *mhz) { (void)h; (void)kind; *mhz = 1980; return 0; }
int nvmlDeviceGetComputeRunningProcesses_v3(void *h, unsigned *count, process_t *processes) {
    (void)h;
    if (!setting("pid", 0)) { *count = 0; return 0; }
    if (*count < 1 || !processes) { *count = 1; return 7; }
    *count = 1;
    processes[0].pid = (unsigned)setting("pid", 0);
    processes[0].used = 3ULL << 30;
    return 0;
}
int nvmlDeviceGetUtilizationRates(void *h, utilization_t *u) {
    (void)h;
    u->gpu = 87;
    return (int)setting("use.ret", 0);
}
int nvmlDeviceGetPowerUsage(void *h, unsigned *mw) {
    (void)h;
    *mw = (unsigned)setting("usage_mw", 0);
    return (int)setting("usage.ret", 0);
}
int nvmlDeviceGetFieldValues(void *handle, int count, field_t *fields) {
    if (setting("fields.ret", 0)) return (int)setting("fields.ret", 0);
    for (int i = 0; i < count; i++) {
        field_t *f = &fields[i];
        char key[32];
        snprintf(key, sizeof key, "%u.ret", f->fieldId);
        f->nvmlReturn = (uint32_t)setting(key, 0);
        f->timestamp = setting("stamp_us", wall_us());
        f->valueType = 3;
        if (f->fieldId == 83) {
            long long tick_us = 1000 * setting("tick_ms", 20);
            f->value.ull = (unsigned long long)setting("energy_mj", 1000) + 1000ULL * *(int *)handle;
            if (setting("auto", 0)) {
                f->timestamp = wall_us() / tick_us * tick_us;
                f->value.ull += (unsigned long long)((f->timestamp % 100000000000LL) / 1000 * setting("power_mw", 0) / 1000);
            }
        } else if (f->fieldId == 186 || f->fieldId == 185) {
            f->valueType = 1;
            f->value.ui = (uint32_t)setting(f->fieldId == 186 ? "power_mw" : "average_mw", 200000);
        } else if (f->fieldId == 74 || f->fieldId == first_slowdown() + 2)
            f->value.ull = (unsigned long long)setting("power_ns", 0);
        else if (f->fieldId == 75 || f->fieldId - first_slowdown() < 2)
            f->value.ull = (unsigned long long)setting("heat_ns", 0);
        else /* a setting of power smoothing */
            f->value.ull = (unsigned long long)setting("smoothing", 90);
    }
    return 0;
}
