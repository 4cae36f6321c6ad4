#include "textflag.h"

#define SYS_mmap 9
#define SYS_rt_sigprocmask 14
#define SYS_getpid 39
#define SYS_clone 56
#define SYS_wait4 61
#define SYS_kill 62
#define SYS_rt_sigtimedwait 128
#define SYS_exit_group 231

#define SIGQUIT 3
#define SIGKILL 9
#define SIGUSR1 10
#define SIGUSR2 12
#define SIGTERM 15
#define SIGCHLD 17
#define SIGWINCH 28
#define SIGRTMIN3 37 // SIGRTMIN+3

// Exit codes, see plan.
#define EXIT_BROKER 211
#define EXIT_STOPPED 143
#define EXIT_KILLED 137

// func entry()
// Its frame: 0(SP) has all signals, 8(SP) the signal mask at the start, 16(SP) the status of a process.
TEXT ·entry(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	MOVQ	$SYS_getpid, AX
	SYSCALL
	CMPQ	AX, $1
	JNE	start
	MOVQ	$0, DI
	MOVQ	$4096, SI
	MOVQ	$3, DX // PROT_READ|PROT_WRITE
	MOVQ	$0x21, R10 // MAP_SHARED|MAP_ANONYMOUS
	MOVQ	$-1, R8
	MOVQ	$0, R9
	MOVQ	$SYS_mmap, AX
	SYSCALL
	CMPQ	AX, $-4096
	JHI	start
	MOVQ	AX, ·shared(SB)

	SUBQ	$32, SP
	MOVQ	$-1, 0(SP)
	MOVQ	$0, DI // SIG_BLOCK
	LEAQ	0(SP), SI
	LEAQ	8(SP), DX
	MOVQ	$8, R10
	MOVQ	$SYS_rt_sigprocmask, AX
	SYSCALL
	MOVQ	$SIGCHLD, DI
	MOVQ	$0, SI
	MOVQ	$0, DX
	MOVQ	$0, R10
	MOVQ	$0, R8
	MOVQ	$SYS_clone, AX
	SYSCALL
	CMPQ	AX, $0
	JLE	child // or there is none: then this process is the agent
	MOVQ	AX, R12

wait:
	LEAQ	0(SP), DI
	MOVQ	$0, SI
	MOVQ	$0, DX
	MOVQ	$8, R10
	MOVQ	$SYS_rt_sigtimedwait, AX
	SYSCALL
	CMPQ	AX, $0
	JLE	wait // interrupted
	CMPQ	AX, $SIGCHLD
	JEQ	reap
	MOVQ	·shared(SB), BX
	MOVL	4(BX), BX // listening
	CMPL	BX, $0
	JNE	forward
	CMPQ	AX, $SIGUSR1
	JEQ	wait
	CMPQ	AX, $SIGUSR2
	JEQ	wait
	CMPQ	AX, $SIGWINCH
	JEQ	wait
	CMPQ	AX, $SIGRTMIN3
	JEQ	terminate
	CMPQ	AX, $SIGQUIT
	JNE	forward

terminate:
	MOVQ	$SIGTERM, AX

forward:
	MOVQ	R12, DI
	MOVQ	AX, SI
	MOVQ	$SYS_kill, AX
	SYSCALL
	JMP	wait

reap:
	MOVQ	$-1, DI
	LEAQ	16(SP), SI
	MOVQ	$1, DX // WNOHANG
	MOVQ	$0, R10
	MOVQ	$SYS_wait4, AX
	SYSCALL
	CMPQ	AX, $0
	JLE	wait
	CMPQ	AX, R12
	JNE	reap // an orphan

	MOVL	16(SP), DI
	MOVL	DI, AX
	ANDL	$0x7f, AX
	JNE	signaled
	SHRL	$8, DI
	ANDL	$0xff, DI
	CMPL	DI, $2
	JNE	exit
	MOVQ	·shared(SB), AX
	MOVL	(AX), AX // intended
	CMPL	AX, $0
	JNE	exit
	MOVL	$EXIT_BROKER, DI
	JMP	exit

signaled:
	MOVL	$EXIT_KILLED, DI
	CMPL	AX, $SIGKILL
	JEQ	exit
	MOVL	$EXIT_STOPPED, DI

exit:
	MOVL	$SYS_exit_group, AX
	SYSCALL

child:
	MOVQ	$2, DI // SIG_SETMASK
	LEAQ	8(SP), SI
	MOVQ	$0, DX
	MOVQ	$8, R10
	MOVQ	$SYS_rt_sigprocmask, AX
	SYSCALL
	ADDQ	$32, SP

start:
	JMP	_rt0_amd64_linux(SB)
