/* A driver, NVML and NVRTC for tests: two devices of capability 12.0 whose kernel is computed here, by C.
 *
 * It tells whether the checks call the real libraries rightly, and whether they see each fault that FAKE_CUDA names.
 * Built with -DREAL against NVIDIA's own cuda.h and nvml.h, its prototypes are those of the real libraries or it does
 * not compile.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef REAL
#include <cuda.h>
#include <nvml.h>
#include <nvrtc.h>
#else
typedef int CUresult, CUdevice, CUdevice_attribute, CUfunction_attribute;
typedef unsigned long long CUdeviceptr;
typedef void *CUcontext, *CUmodule, *CUfunction, *CUstream;
typedef struct { char bytes[16]; } CUuuid;
typedef int nvmlReturn_t, nvmlMemoryErrorType_t, nvmlEccCounterType_t;
typedef void *nvmlDevice_t;
typedef int nvrtcResult;
typedef void *nvrtcProgram;
#endif

#ifndef DEVICES
#define DEVICES 2
#endif

static int is(const char *fault) {
  const char *asked = getenv("FAKE_CUDA");
  return asked && !strcmp(asked, fault);
}

/* -- the driver ---------------------------------------------------------------------------------------------------- */

static int ready, held;
static unsigned loaded;

CUresult cuGetErrorName(CUresult error, const char **text) {
  *text = error == 209 ? "CUDA_ERROR_NO_BINARY_FOR_GPU" : error == 804 ? "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE" : "CUDA_ERROR_OTHER";
  return 0;
}
CUresult cuGetErrorString(CUresult error, const char **text) {
  *text = error == 209 ? "no kernel image is available for execution on the device" : "forward compatibility was attempted on non supported HW";
  return 0;
}
CUresult cuDriverGetVersion(int *version) { *version = 12080; return 0; }
CUresult cuInit(unsigned flags) {
  if (is("hang")) for (;;) ;
  if (is("init")) return 804;
  ready = flags == 0;
  return 0;
}
CUresult cuDeviceGetCount(int *count) { *count = DEVICES; return ready ? 0 : 3; }
CUresult cuDeviceGet(CUdevice *device, int ordinal) { *device = 10 + ordinal; return ordinal < DEVICES ? 0 : 101; }
CUresult cuDeviceGetName(char *name, int size, CUdevice device) {
  snprintf(name, size, "Fake %d%s", device - 10, is("mig") ? " MIG 1g.10gb" : "");
  return 0;
}
CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice device) { memset(uuid, device, sizeof *uuid); return 0; }
CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device) { *bytes = (size_t)device << 32; return 0; }
CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device) {
  (void)device;
  *value = attribute == 75 ? 12 : attribute == 76 ? 0 : -1;
  return 0;
}
CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
  __sync_fetch_and_add(&held, 1);
  *context = (CUcontext)(size_t)device;
  return 0;
}
/* As a real one: after a fault of a kernel everything fails. */
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) { (void)device; __sync_fetch_and_sub(&held, 1); return is("fault") ? 700 : 0; }
CUresult cuCtxSetCurrent(CUcontext context) { return held && context ? 0 : 201; }
CUresult cuCtxSynchronize(void) { return is("fault") ? 700 : 0; }
CUresult cuModuleLoadData(CUmodule *module, const void *image) {
  const unsigned char *bytes = image;
  unsigned flags;
  memcpy(&flags, bytes + 48, 4);
  if (is("refuse") || memcmp(bytes, "\177ELF", 4)) return 209;
  loaded = bytes[8] >= 8 ? flags >> 8 & 0xff : flags & 0xff;
  *module = (CUmodule)&loaded;
  return 0;
}
CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
  *function = (CUfunction)module;
  return strcmp(name, "probe") ? 500 : 0;
}
CUresult cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction function) {
  *value = attribute == 6 ? (int)(is("older") ? 90 : *(unsigned *)function) : -1;
  return 0;
}
CUresult cuMemAlloc_v2(CUdeviceptr *memory, size_t size) { *memory = (CUdeviceptr)(size_t)malloc(size); return 0; }
CUresult cuMemFree_v2(CUdeviceptr memory) { free((void *)(size_t)memory); return is("fault") ? 700 : 0; }
CUresult cuMemsetD32_v2(CUdeviceptr memory, unsigned value, size_t count) {
  for (size_t i = 0; i < count; i++) ((unsigned *)(size_t)memory)[i] = value;
  return 0;
}
CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t size) { memcpy(to, (void *)(size_t)from, size); return 0; }
CUresult cuLaunchKernel(CUfunction function, unsigned x, unsigned y, unsigned z, unsigned bx, unsigned by, unsigned bz,
                        unsigned shared, CUstream stream, void **values, void **extra) {
  unsigned *out = *(unsigned **)values[0], n = *(unsigned *)values[1], nonce = *(unsigned *)values[2];
  if (y * z * by * bz != 1 || shared || stream || extra || function != (CUfunction)&loaded) return 1;
  for (unsigned i = 0; i < x * bx; i++) {
    unsigned v = i * (is("constant") ? 2654435763u : 2654435761u) ^ (nonce + 10 * loaded);
    v ^= v >> 15;
    if (i < n + is("behind")) out[i] = v * 2246822519u + i;
  }
  return 0;
}

/* -- NVML ---------------------------------------------------------------------------------------------------------- */

const char *nvmlErrorString(nvmlReturn_t error) { (void)error; return "Unknown Error"; }
nvmlReturn_t nvmlInit_v2(void) { return is("nvml") ? 999 : 0; }
nvmlReturn_t nvmlShutdown(void) { return 0; }
nvmlReturn_t nvmlSystemGetDriverVersion(char *text, unsigned size) { snprintf(text, size, "570.86.15"); return 0; }
nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *count) { *count = DEVICES; return 0; }
nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t *device) {
  *device = (nvmlDevice_t)(size_t)(index + 1);
  return 0;
}
nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *text, unsigned size) {
  snprintf(text, size, "GPU-%zu", (size_t)device - 1);
  return 0;
}
nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t device, nvmlMemoryErrorType_t kind, nvmlEccCounterType_t counter,
                                         unsigned long long *count) {
  if (device == (nvmlDevice_t)2) return 3; /* the second has no ECC */
  *count = kind == 1 ? (is("ecc") ? 5 : 0) : 7;
  return counter == 0 ? 0 : 2;
}
nvmlReturn_t nvmlDeviceGetRemappedRows(nvmlDevice_t device, unsigned *corrected, unsigned *uncorrected,
                                       unsigned *pending, unsigned *failed) {
  *corrected = 1, *uncorrected = 0, *pending = is("rows"), *failed = 0;
  return device == (nvmlDevice_t)2 ? 3 : 0;
}
nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice_t device, unsigned long long *reasons) {
  (void)device;
  *reasons = is("hot") ? 0x40 : 0x1;
  return 0;
}
nvmlReturn_t nvmlDeviceGetCurrPcieLinkGeneration(nvmlDevice_t device, unsigned *value) { (void)device; *value = 1; return 0; }
nvmlReturn_t nvmlDeviceGetMaxPcieLinkGeneration(nvmlDevice_t device, unsigned *value) { (void)device; *value = 5; return 0; }
nvmlReturn_t nvmlDeviceGetMaxPcieLinkWidth(nvmlDevice_t device, unsigned *value) { (void)device; *value = 16; return 0; }
nvmlReturn_t nvmlDeviceGetCurrPcieLinkWidth(nvmlDevice_t device, unsigned *value) {
  (void)device;
  *value = is("lanes") ? 8 : 16;
  return 0;
}

/* -- NVRTC: of a program it keeps the target, and its code is a bare header --------------------------------------- */

const char *nvrtcGetErrorString(nvrtcResult error) { (void)error; return "NVRTC_ERROR_COMPILATION"; }
nvrtcResult nvrtcVersion(int *major, int *minor) { *major = 12, *minor = 8; return 0; }
nvrtcResult nvrtcCreateProgram(nvrtcProgram *program, const char *source, const char *name, int count,
                               const char *const *headers, const char *const *names) {
  *program = calloc(1, 4);
  return strstr(source, "__CUDA_ARCH__") && name && !count && !headers && !names ? 0 : 3;
}
nvrtcResult nvrtcDestroyProgram(nvrtcProgram *program) { free(*program); return 0; }
nvrtcResult nvrtcCompileProgram(nvrtcProgram program, int count, const char *const *options) {
  return count == 1 && sscanf(options[0], "--gpu-architecture=sm_%u", (unsigned *)program) == 1 && *(unsigned *)program != 121 ? 0 : 6;
}
nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram program, size_t *size) { (void)program; *size = 15; return 0; }
nvrtcResult nvrtcGetProgramLog(nvrtcProgram program, char *log) { (void)program; strcpy(log, "invalid value!"); return 0; }
nvrtcResult nvrtcGetCUBINSize(nvrtcProgram program, size_t *size) { (void)program; *size = is("empty") ? 0 : 64; return 0; }
nvrtcResult nvrtcGetCUBIN(nvrtcProgram program, char *code) {
  unsigned flags = 0x06000002 | *(unsigned *)program << 8;
  memset(code, 0, 64);
  memcpy(code, "\177ELF", 4);
  code[8] = 8, code[18] = (char)190;
  memcpy(code + 48, &flags, 4);
  return 0;
}
nvrtcResult nvrtcGetPTXSize(nvrtcProgram program, size_t *size) { (void)program; *size = 1; return 0; }
nvrtcResult nvrtcGetPTX(nvrtcProgram program, char *text) { (void)program; *text = 0; return 0; }
