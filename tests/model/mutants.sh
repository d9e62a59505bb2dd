#!/bin/sh
# mutants.sh - checks every scenario of the models, and that each model can
# fail: every mutant of the protocol must be caught.
# SPDX-License-Identifier: MIT
#
# Usage: tests/model/mutants.sh [MODEL ...]   such as: mutants.sh sleep wait
# Needs spin and gcc. Exits 1 if a scenario has an error, a mutant survives,
# or a mutant of a model is missing from the table below.

here=$(cd "$(dirname "$0")" && pwd) || exit 1

# model, scenario (a macro, or - for none), mutant (or - for the model as it
# is: that must have no error).
table() {
  cat <<'TABLE'
session - -
session ALARM -
session REVIVE -
session HOST -
session - ENQUEUE_ALWAYS
session - TOUCH_AFTER_PUSH
session - TOUCH_AFTER_IDLE
session - REQUEUE_BEFORE_END
session - IDLE_STORE
session - TAKE_STORE
session - CLOSE_WITH_TASKS
session - CLOSE_STORE
session - HOLD_DROPPED_EARLY
session - START_UNCOUNTED
session - NO_REVERSE
session - READY_LATE
session ALARM BELL_TWICE
session ALARM ALARM_KEPT
session ALARM ALARM_UNHELD
session REVIVE ORPHAN_TWICE
session REVIVE ORPHAN_CLEARED_LATE
session REVIVE REVIVED_IGNORED
session HOST HOST_HASTY
sleep - -
sleep FAULT -
sleep RETRY -
sleep RESCUE -
sleep RETIRE -
sleep RETAKE -
sleep - STORE_LATE
sleep - RECHECK_EARLY
sleep - NO_RECHECK
sleep - FOUND_SILENTLY
sleep - NO_UNDO
sleep FAULT UNDO_SILENTLY
sleep - SIGNAL_NO_WORD
sleep - TAKE_BACK_BLIND
sleep - IDLE_LATE
sleep - KICKED_SILENTLY
sleep - NO_RESCUE
sleep RESCUE RESCUE_STORE
sleep - SPINNERS_ONLY
sleep - STOP_SILENTLY
sleep FAULT FAILED_SILENTLY
sleep RETRY NO_RETRY
sleep - STUCK_SILENTLY
sleep RETIRE RETIRE_BLIND
sleep RETAKE LOST_IGNORED
sleep RETAKE RETAKE_LEAVES
sleep RETAKE RETAKE_SILENTLY
sleep RETAKE REGAIN_NOT
wait - -
wait CLOSE -
wait BUFFER -
wait CLOSE+BUFFER -
wait - CLAIM_STORE
wait - OWNER_UNLOCKED
wait - WAKE_FIRST
wait - LOCK_ORDER
wait - LOSERS_STAY
wait - CLAIM_UNLOCKED
wait - QUEUE_LATE
wait - ARM_LATE
wait - NOT_AGAIN
wait - TIMEOUT_UNCLAIMED
wait BUFFER NO_REFILL
wait CLOSE CLOSE_UNCLAIMED
inplace - -
inplace - POOLED_EARLY
inplace - SESSION_LET_GO
inplace - WOKEN_DIRECTLY
inplace - NESTED_LOOP
inplace - STALE_RUNNER
deadlock - -
deadlock COMER -
deadlock TWO -
deadlock - REST_SILENTLY
deadlock - REGAIN_SILENTLY
deadlock - UNEXPECT_SILENTLY
deadlock - NO_WATCH
deadlock - BUSY_ONLY
deadlock TWO NO_SECOND_LOOK
deadlock - WHERE_FIRST
deadlock COMER COUNT_ONLY
deadlock TWO DELIST_SILENTLY
deadlock IO -
deadlock IO AWAITED_IGNORED
deadlock IO DEAL_LATE
deadlock IO DEALT_EARLY
deadlock IO DEAL_ONCE
deadlock IO DEAL_NOW
deadlock IO LOOK_ONCE
descriptor - -
descriptor CLOSE -
descriptor ACCEPT -
descriptor LEVEL -
descriptor - NOT_STICKY
descriptor - NO_RECHECK
descriptor - CLEAR_LATE
descriptor - ADD_SILENTLY
descriptor - END_IGNORED
descriptor - MOVE_FORGETS
descriptor - MOVE_WAITING
descriptor CLOSE NO_GENERATION
descriptor CLOSE CLOSE_IN_USE
descriptor CLOSE REMOVE_LATE
descriptor CLOSE JOIN_CLOSED
descriptor CLOSE CLOSE_UNCLAIMED
descriptor ACCEPT NO_PASS
descriptor ACCEPT CANCEL_TAKES
descriptor ACCEPT SHORT_SILENTLY
descriptor ACCEPT SELECT_COUNTS
descriptor ACCEPT+KEPT -
descriptor ACCEPT+KEPT KEPT_FIRST
descriptor ACCEPT+KEPT KEPT_UNSEEN
descriptor LEVEL NO_RESTORE
descriptor LEVEL RESTORE_SILENTLY
descriptor LEVEL PASS_ONE
select_io - -
select_io CLOSE -
select_io MOVE -
select_io - ASK_ONCE
select_io - NO_PASS
select_io - JOIN_BLINDLY
select_io - LOSERS_STAY
select_io - CALL_OFF_BLINDLY
select_io - NO_AGAIN
select_io - ENDED_SILENTLY
select_io CLOSE JOIN_CLOSED
select_io CLOSE LOOK_UNCOUNTED
select_io MOVE UNCOUNTED
number - -
number STREAM -
number - NO_RENEW
number STREAM OLD_STAYS
number STREAM DROP_ALWAYS
number STREAM DROP_UNLOCKED
number STREAM EXISTS_KEPT
number STREAM LOST_ENTERS
poller - -
poller BUSY -
poller DEEP -
poller HOST -
poller SHARED -
poller NEVER -
poller LOOKS -
poller TWO -
poller - TAKE_BLIND
poller - KEEPS_TOKEN
poller - SIGNAL_LATE
poller - POLLS_LATE
poller - BACK_BLIND
poller - CORE_BLIND
poller - STAYS_IDLE
poller - WANTED_EARLY
poller BUSY PUSH_SILENTLY
poller BUSY NO_TICK
poller DEEP SLEEPS_UNCOVERED
poller HOST WOKEN_LATE
poller HOST HOST_POLLS_LATE
poller HOST EVENT_FIRST
poller HOST HOST_HASTY
poller HOST LEAVES_SILENTLY
poller HOST COVER_EARLY
poller HOST RELIES
poller HOST AWAY_BLIND
poller HOST TORN
poller TWO FIRST_SILENTLY
poller SHARED FLIPS
poller NEVER NEVER_LOOKS
keeper - -
keeper STAYS -
keeper - SIGNAL_NO_WORD
keeper - COUNT_LATE
keeper - SETTLE_BLIND
keeper - REST_EARLY
keeper STAYS REST_SILENTLY
keeper - LOOK_COUNTED
keeper - ASLEEP_LATE
foreign - -
foreign - WAKE_FIRST
foreign - SIGNAL_FIRST
foreign - TOUCH_LATE
foreign - ANNOUNCED_NOT
foreign - SLEEP_BLIND
foreign - TIMEOUT_STORE
foreign - TIMEOUT_HASTY
offload - -
offload FAULT -
offload STUCK -
offload STOP -
offload - TAKEN_BLINDLY
offload - FREED_IN_QUEUE
offload - PASSED_TWICE
offload - UNEXPECT_EARLY
offload STUCK RESERVE_IF_NONE
offload - ENDS_BLINDLY
offload - SENT_SILENTLY
offload - WORD_LATE
offload FAULT LOST_SILENTLY
offload STOP STOP_SILENTLY
TABLE
}

# one MODEL SCENARIO MUTANT: a line "ok ..." or "not ok ...".
one() {
  what=$1
  flags=
  if [ "$2" != - ]; then
    what="$what $2"
    flags=$(echo "+$2" | sed 's/+/ -D/g')
  fi
  if [ "$3" != - ]; then
    what="$what mutant $3"
    flags="$flags -DMUTANT_$3"
  fi
  dir=$(mktemp -d) || return 1
  # shellcheck disable=SC2086
  (cd "$dir" && spin $flags -a "$here/$1.pml" &&
    gcc -O1 -w -DCOLLAPSE -DMEMLIM=2000 -o pan pan.c &&
    timeout 600 ./pan -m50000) >"$dir/report" 2>&1
  # An incomplete search proves nothing, and pan exits 0 even with errors.
  if [ "$3" != - ]; then
    grep -q 'errors: [1-9]' "$dir/report"
  else
    grep -q 'errors: 0$' "$dir/report" && ! grep -q -i \
      -e 'max search depth too small' -e 'out of memory' -e 'aborting' \
      -e 'search not completed' "$dir/report"
  fi
  rc=$?
  if [ $rc -eq 0 ]; then
    echo "ok $what"
  else
    echo "not ok $what"
    sed 's/^/# /' "$dir/report" | grep -v '^# *$' | head -n 12
  fi
  rm -rf "$dir"
}

if [ "$1" = --one ]; then
  one "$2" "$3" "$4"
  exit 0
fi

jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT INT TERM
models=${*:-"session sleep wait inplace deadlock foreign descriptor select_io
  number poller keeper offload"}
for model in $models; do
  for mutant in $(grep -o 'MUTANT_[A-Z_]*' "$here/$model.pml" | sort -u); do
    table | grep -q "^$model .* ${mutant#MUTANT_}\$" ||
      echo "not ok $model has $mutant, which mutants.sh does not know"
  done
  table | grep "^$model " | xargs -P "$jobs" -L 1 "$0" --one
done | tee "$log"
failed=$(grep -c '^not ok' "$log")
echo "$(grep -c '^ok' "$log") passed, $failed failed"
[ "$failed" -eq 0 ]
