/* switch.h - leaves one C stack for another; private to context.c.
   SPDX-License-Identifier: MIT

   It defines three things:
     os_place            the place at which execution stands on a stack
     place_make(...)     makes the place at which fn(arg) starts on a new stack
     place_jump(a, b)    stores the place in a and continues at b; it returns
                         when another jump continues at a

   A jump preserves what a C function may expect a call to preserve: the
   callee-saved registers and the floating point modes (rounding, exception
   masks, x87 precision), which belong to the code on the stack, not to the OS
   thread. The signal mask and thread-local data belong to the OS thread and
   stay with it: saving the mask would cost two system calls per switch.

   There is assembly for x86-64 (System V), aarch64 and riscv64. A jump pushes a
   frame and pops the same frame when it returns; the first frame of a stack is
   written by place_make. Everywhere else, or with OS_PLACE_UCONTEXT, the
   ucontext functions are used, which are some twenty times slower. The assembly
   ends with a `ret` to an address that was written by hand, so it does not work
   with hardware shadow stacks; Linux gives those only to processes that ask for
   them. */
#ifndef CAST_OS_SWITCH_H
#define CAST_OS_SWITCH_H

#include <stdint.h>
#include <string.h>

#if !defined(OS_PLACE_UCONTEXT) && !defined(_WIN32)
#if defined(__x86_64__) && !defined(__ILP32__)
#define OS_PLACE_X86_64
#elif defined(__aarch64__) && !defined(__ILP32__)
#define OS_PLACE_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64 && !defined(__riscv_float_abi_quad)
#define OS_PLACE_RISCV64
#endif
#endif

#if defined(OS_PLACE_X86_64) || defined(OS_PLACE_AARCH64) || \
  defined(OS_PLACE_RISCV64)

typedef struct os_place {
  void *sp; /* the stack pointer, below which the state was pushed */
} os_place;

/* Pushes the state, stores the stack pointer in *save, loads it from `to`, pops
   the state that lies there. */
void cast_os_jump(void **save, void *to);
void cast_os_begin(void); /* the first code on a fresh stack; never called */

static inline void place_jump(os_place *from, const os_place *to) {
  cast_os_jump(&from->sp, to->sp);
}

#if defined(__APPLE__)
#define OS_SYMBOL(name) "_" name
#define OS_HEAD(name)           \
  ".text\n"                     \
  ".p2align 4\n"                \
  ".globl _" name "\n"          \
  ".private_extern _" name "\n" \
  "_" name ":\n"                \
  ".cfi_startproc\n"
#define OS_TAIL(name) ".cfi_endproc\n"
#else
#define OS_SYMBOL(name) name
#define OS_HEAD(name)                      \
  ".text\n"                                \
  ".p2align 4\n"                           \
  ".globl " name "\n"                      \
  ".hidden " name "\n"                     \
  ".type " name ", %function\n" name ":\n" \
  ".cfi_startproc\n"
#define OS_TAIL(name) \
  ".cfi_endproc\n"    \
  ".size " name ", .-" name "\n"
#endif

/* Sixteen zero bytes above the first frame end the stack walk of a debugger. */
#define PLACE_ABOVE 16

#endif

#if defined(OS_PLACE_X86_64)

#define PLACE_FRAME 64

/* The frame, by offsets: 0 mxcsr, 4 x87 control word, 8 r12, 16 r13, 24 r14,
   32 r15, 40 rbx, 48 rbp, 56 return address. */
__asm__(OS_HEAD("cast_os_jump") "leaq -56(%rsp), %rsp\n"
                                ".cfi_def_cfa_offset 64\n"
                                "stmxcsr (%rsp)\n"
                                "fnstcw 4(%rsp)\n"
                                "movq %r12, 8(%rsp)\n"
                                "movq %r13, 16(%rsp)\n"
                                "movq %r14, 24(%rsp)\n"
                                "movq %r15, 32(%rsp)\n"
                                "movq %rbx, 40(%rsp)\n"
                                "movq %rbp, 48(%rsp)\n"
                                "movq %rsp, (%rdi)\n"
                                "movq %rsi, %rsp\n"
                                "ldmxcsr (%rsp)\n"
                                "fldcw 4(%rsp)\n"
                                "movq 8(%rsp), %r12\n"
                                "movq 16(%rsp), %r13\n"
                                "movq 24(%rsp), %r14\n"
                                "movq 32(%rsp), %r15\n"
                                "movq 40(%rsp), %rbx\n"
                                "movq 48(%rsp), %rbp\n"
                                "leaq 56(%rsp), %rsp\n"
                                ".cfi_def_cfa_offset 8\n"
                                "ret\n" OS_TAIL("cast_os_jump"));

__asm__(OS_HEAD("cast_os_begin") ".cfi_undefined rip\n"
                                 "movq %r12, %rdi\n"
                                 "call *%r13\n"
                                 "ud2\n" OS_TAIL("cast_os_begin"));

static void place_fill(char *frame, uintptr_t fn, uintptr_t arg) {
  uint32_t mxcsr = 0;
  uint16_t control = 0;
  uintptr_t begin = (uintptr_t)cast_os_begin;
  __asm__ __volatile__("stmxcsr %0" : "=m"(mxcsr));
  __asm__ __volatile__("fnstcw %0" : "=m"(control));
  memcpy(frame, &mxcsr, sizeof mxcsr);
  memcpy(frame + 4, &control, sizeof control);
  memcpy(frame + 8, &arg, sizeof arg);
  memcpy(frame + 16, &fn, sizeof fn);
  memcpy(frame + 56, &begin, sizeof begin);
}

#elif defined(OS_PLACE_AARCH64)

#define PLACE_FRAME 176

/* The frame, by offsets: 0 x19 .. 72 x28, 80 x29, 88 x30, 96 d8 .. 152 d15,
   160 fpcr. Writing fpcr stalls the pipeline, so it is written only if the two
   differ. */
__asm__(OS_HEAD("cast_os_jump") "sub sp, sp, #176\n"
                                ".cfi_def_cfa_offset 176\n"
                                "stp x19, x20, [sp]\n"
                                "stp x21, x22, [sp, #16]\n"
                                "stp x23, x24, [sp, #32]\n"
                                "stp x25, x26, [sp, #48]\n"
                                "stp x27, x28, [sp, #64]\n"
                                "stp x29, x30, [sp, #80]\n"
                                "stp d8, d9, [sp, #96]\n"
                                "stp d10, d11, [sp, #112]\n"
                                "stp d12, d13, [sp, #128]\n"
                                "stp d14, d15, [sp, #144]\n"
                                "mrs x9, fpcr\n"
                                "str x9, [sp, #160]\n"
                                "mov x10, sp\n"
                                "str x10, [x0]\n"
                                "mov sp, x1\n"
                                "ldr x10, [sp, #160]\n"
                                "cmp x9, x10\n"
                                "b.eq 1f\n"
                                "msr fpcr, x10\n"
                                "1:\n"
                                "ldp x19, x20, [sp]\n"
                                "ldp x21, x22, [sp, #16]\n"
                                "ldp x23, x24, [sp, #32]\n"
                                "ldp x25, x26, [sp, #48]\n"
                                "ldp x27, x28, [sp, #64]\n"
                                "ldp x29, x30, [sp, #80]\n"
                                "ldp d8, d9, [sp, #96]\n"
                                "ldp d10, d11, [sp, #112]\n"
                                "ldp d12, d13, [sp, #128]\n"
                                "ldp d14, d15, [sp, #144]\n"
                                "add sp, sp, #176\n"
                                ".cfi_def_cfa_offset 0\n"
                                "ret\n" OS_TAIL("cast_os_jump"));

__asm__(OS_HEAD("cast_os_begin") ".cfi_undefined x30\n"
                                 "mov x0, x19\n"
                                 "blr x20\n"
                                 "brk #1\n" OS_TAIL("cast_os_begin"));

static void place_fill(char *frame, uintptr_t fn, uintptr_t arg) {
  uint64_t fpcr = 0;
  uintptr_t begin = (uintptr_t)cast_os_begin;
  __asm__ __volatile__("mrs %0, fpcr" : "=r"(fpcr));
  memcpy(frame, &arg, sizeof arg);
  memcpy(frame + 8, &fn, sizeof fn);
  memcpy(frame + 88, &begin, sizeof begin);
  memcpy(frame + 160, &fpcr, sizeof fpcr);
}

#elif defined(OS_PLACE_RISCV64)

#define PLACE_FRAME 208

/* clang-format does not settle on these lists. */
/* clang-format off */
#if !defined(__riscv_flen)
#define OS_FLOATS(op)
#define OS_MODE(op)
#else
#if __riscv_flen >= 64
#define OS_F(op, r, at) "f" op "d " r ", " at "(sp)\n"
#else
#define OS_F(op, r, at) "f" op "w " r ", " at "(sp)\n"
#endif
#define OS_FLOATS(op)                                                       \
  OS_F(op, "fs0", "104")                                                    \
  OS_F(op, "fs1", "112")                                                    \
  OS_F(op, "fs2", "120") OS_F(op, "fs3", "128") OS_F(op, "fs4", "136")      \
    OS_F(op, "fs5", "144") OS_F(op, "fs6", "152") OS_F(op, "fs7", "160")    \
      OS_F(op, "fs8", "168") OS_F(op, "fs9", "176") OS_F(op, "fs10", "184") \
        OS_F(op, "fs11", "192")
#define OS_MODE(op) op
#endif
#define OS_WORDS(op)                                                           \
  op " ra, 0(sp)\n" op " s0, 8(sp)\n" op " s1, 16(sp)\n" op " s2, 24(sp)\n" op \
     " s3, 32(sp)\n" op " s4, 40(sp)\n" op " s5, 48(sp)\n" op                  \
     " s6, 56(sp)\n" op " s7, 64(sp)\n" op " s8, 72(sp)\n" op                  \
     " s9, 80(sp)\n" op " s10, 88(sp)\n" op " s11, 96(sp)\n"
/* clang-format on */

/* The frame, by offsets: 0 ra, 8 s0 .. 96 s11, 104 fs0 .. 192 fs11, 200
   rounding mode. */
__asm__(OS_HEAD(
  "cast_os_jump") "addi sp, sp, -208\n"
                  ".cfi_def_cfa_offset 208\n" OS_WORDS("sd") OS_FLOATS("s")
                    OS_MODE("frrm t0\n") OS_MODE(
                      "sd t0, 200(sp)\n") "sd sp, 0(a0)\n"
                                          "mv sp, a1\n" OS_MODE(
                                            "ld t0, 200(sp)\n")
                                            OS_MODE("fsrm t0\n") OS_WORDS("ld")
                                              OS_FLOATS(
                                                "l") "addi sp, sp, 208\n"
                                                     ".cfi_def_cfa_offset 0\n"
                                                     "ret\n" OS_TAIL(
                                                       "cast_os_jump"));

__asm__(OS_HEAD("cast_os_begin") ".cfi_undefined ra\n"
                                 "mv a0, s0\n"
                                 "jalr s1\n"
                                 "ebreak\n" OS_TAIL("cast_os_begin"));

static void place_fill(char *frame, uintptr_t fn, uintptr_t arg) {
  uint64_t mode = 0;
  uintptr_t begin = (uintptr_t)cast_os_begin;
#if defined(__riscv_flen)
  __asm__ __volatile__("frrm %0" : "=r"(mode));
#endif
  memcpy(frame, &begin, sizeof begin);
  memcpy(frame + 8, &arg, sizeof arg);
  memcpy(frame + 16, &fn, sizeof fn);
  memcpy(frame + 200, &mode, sizeof mode);
}

#endif

#if defined(PLACE_FRAME)

/* The stack has `size` bytes from `low` on. */
static void place_make(
  os_place *p, void *low, size_t size, void (*fn)(void *), void *arg) {
  char *frame = (char *)low + size - PLACE_ABOVE - PLACE_FRAME;
  memset(frame, 0, PLACE_FRAME + PLACE_ABOVE);
  place_fill(frame, (uintptr_t)fn, (uintptr_t)arg);
  p->sp = frame;
}

#else

#include <ucontext.h>

typedef struct os_place {
  ucontext_t state;
} os_place;

static inline void place_jump(os_place *from, const os_place *to) {
  (void)swapcontext(&from->state, &to->state);
}

/* makecontext passes ints only, so pointers come in halves. */
static void place_begin(
  unsigned fn_high, unsigned fn_low, unsigned arg_high, unsigned arg_low) {
  void (*fn)(void *) =
    (void (*)(void *))(uintptr_t)((uint64_t)fn_high << 32 | fn_low);
  fn((void *)(uintptr_t)((uint64_t)arg_high << 32 | arg_low));
}

static void place_make(
  os_place *p, void *low, size_t size, void (*fn)(void *), void *arg) {
  uint64_t f = (uintptr_t)fn, a = (uintptr_t)arg;
  (void)getcontext(&p->state);
  p->state.uc_stack.ss_sp = low;
  p->state.uc_stack.ss_size = size;
  p->state.uc_link = NULL;
  makecontext(&p->state, (void (*)(void))place_begin, 4, (unsigned)(f >> 32),
    (unsigned)f, (unsigned)(a >> 32), (unsigned)a);
}

#endif

#endif
