#include "textflag.h"

#define SYS_exit_group 94
#define SYS_kill 129
#define SYS_rt_sigprocmask 135
#define SYS_rt_sigtimedwait 137
#define SYS_getpid 172
#define SYS_clone 220
#define SYS_mmap 222
#define SYS_wait4 260

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
// Its frame: 0(RSP) has all signals, 8(RSP) the signal mask at the start, 16(RSP) the status of a process.
TEXT ·entry(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	MOVD	$SYS_getpid, R8
	SVC
	CMP	$1, R0
	BNE	start
	MOVD	$0, R0
	MOVD	$4096, R1
	MOVD	$3, R2 // PROT_READ|PROT_WRITE
	MOVD	$0x21, R3 // MAP_SHARED|MAP_ANONYMOUS
	MOVD	$-1, R4
	MOVD	$0, R5
	MOVD	$SYS_mmap, R8
	SVC
	CMN	$4095, R0
	BHS	start
	MOVD	R0, ·shared(SB)

	SUB	$32, RSP
	MOVD	$-1, R9
	MOVD	R9, 0(RSP)
	MOVD	$0, R0 // SIG_BLOCK
	MOVD	RSP, R1
	ADD	$8, RSP, R2
	MOVD	$8, R3
	MOVD	$SYS_rt_sigprocmask, R8
	SVC
	MOVD	$SIGCHLD, R0
	MOVD	$0, R1
	MOVD	$0, R2
	MOVD	$0, R3
	MOVD	$0, R4
	MOVD	$SYS_clone, R8
	SVC
	CMP	$0, R0
	BLE	child // or there is none: then this process is the agent
	MOVD	R0, R19

wait:
	MOVD	RSP, R0
	MOVD	$0, R1
	MOVD	$0, R2
	MOVD	$8, R3
	MOVD	$SYS_rt_sigtimedwait, R8
	SVC
	CMP	$0, R0
	BLE	wait // interrupted
	CMP	$SIGCHLD, R0
	BEQ	reap
	MOVD	R0, R1
	MOVD	·shared(SB), R2
	MOVWU	4(R2), R2 // listening
	CBNZ	R2, forward
	CMP	$SIGUSR1, R1
	BEQ	wait
	CMP	$SIGUSR2, R1
	BEQ	wait
	CMP	$SIGWINCH, R1
	BEQ	wait
	CMP	$SIGRTMIN3, R1
	BEQ	terminate
	CMP	$SIGQUIT, R1
	BNE	forward

terminate:
	MOVD	$SIGTERM, R1

forward:
	MOVD	R19, R0
	MOVD	$SYS_kill, R8
	SVC
	B	wait

reap:
	MOVD	$-1, R0
	ADD	$16, RSP, R1
	MOVD	$1, R2 // WNOHANG
	MOVD	$0, R3
	MOVD	$SYS_wait4, R8
	SVC
	CMP	$0, R0
	BLE	wait
	CMP	R19, R0
	BNE	reap // an orphan

	MOVWU	16(RSP), R0
	AND	$0x7f, R0, R1
	CBNZ	R1, signaled
	LSR	$8, R0
	AND	$0xff, R0
	CMP	$2, R0
	BNE	exit
	MOVD	·shared(SB), R1
	MOVWU	(R1), R1 // intended
	CBNZ	R1, exit
	MOVD	$EXIT_BROKER, R0
	B	exit

signaled:
	MOVD	$EXIT_KILLED, R0
	CMP	$SIGKILL, R1
	BEQ	exit
	MOVD	$EXIT_STOPPED, R0

exit:
	MOVD	$SYS_exit_group, R8
	SVC

child:
	MOVD	$2, R0 // SIG_SETMASK
	ADD	$8, RSP, R1
	MOVD	$0, R2
	MOVD	$8, R3
	MOVD	$SYS_rt_sigprocmask, R8
	SVC
	ADD	$32, RSP

start:
	B	_rt0_arm64_linux(SB)
