package engine

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"time"

	// encoding/json as a coming Go will have it: the same behaviour, four times as fast at a reply of 30 kB (62 µs
	// against 231), which is a third of what a mail may cost.
	json "github.com/go-json-experiment/json/v1"
)

// entropyOf is how many random bytes an operation needs, as wasm/README.md says; the others need none.
var entropyOf = map[string]int{
	"prepare": 96, "compose_test": 48, "judge": 8, "seal_secret": 12, "take_mail": 96, "pass_mail": 28,
	"compose_orphaned": 60,
}

type request struct {
	Op      string `json:"op"`
	Now     int64  `json:"now"`
	Entropy string `json:"entropy"`
	Args    any    `json:"args"`
}

// Call runs one operation of the core. now is the time the core is told. args and out are the operation's shapes
// (package core); out is filled from "ok", nil ignores it.
//
// Errors: *CoreError (errors.As) for the core's own "err"; ErrTrapped, ErrDeadline, ErrEntropy, ErrClosed (errors.Is);
// ctx's error if it ends while the call waits for an instance. None carries the request or the reply. A call that
// has begun is not cut short by ctx: it lasts under a millisecond.
func (e *Engine) Call(ctx context.Context, op string, now time.Time, args, out any) error {
	entropy := make([]byte, entropyOf[op])
	if _, err := io.ReadFull(e.entropy, entropy); err != nil {
		return fmt.Errorf("%s: %w", op, errors.Join(ErrEntropy, err))
	}
	in, err := json.Marshal(request{op, now.UnixMilli(), base64.StdEncoding.EncodeToString(entropy), args})
	if err != nil {
		return fmt.Errorf("%s: encode the request: %w", op, err)
	}
	began := time.Now()
	err = e.exchange(ctx, op, in, func(reply []byte) error { return decode(op, reply, out) })
	if result := resultOf(err); result != "" {
		e.observe(op, result, time.Since(began))
	}
	return err
}

// resultOf is how a call ended, "" for one that did not begin.
func resultOf(err error) string {
	var refused *CoreError
	switch {
	case err == nil:
		return ResultOK
	case errors.As(err, &refused):
		return ResultRefused
	case errors.Is(err, ErrDeadline):
		return ResultLate
	case errors.Is(err, ErrTrapped):
		return ResultTrapped
	}
	return ""
}

// CallRaw sends a request as it is and returns the reply as it is: for the contract's fixtures, which bring their own
// time and entropy.
func (e *Engine) CallRaw(ctx context.Context, in []byte) ([]byte, error) {
	var out []byte
	err := e.exchange(ctx, "raw", in, func(reply []byte) error {
		out = append([]byte(nil), reply...)
		return nil
	})
	return out, err
}

// decode fills out from a reply, which it does not keep. A reply that is not of the contract's form is ErrTrapped:
// whatever wrote it is not to be trusted with another call.
func decode(op string, reply []byte, out any) error {
	if out == nil {
		out = new(json.RawMessage)
	}
	r := struct {
		OK  any        `json:"ok"`
		Err *CoreError `json:"err"`
	}{OK: out}
	if err := json.Unmarshal(reply, &r); err != nil {
		var bad *json.UnmarshalTypeError
		if errors.As(err, &bad) { // ours: out has not the operation's shape
			return fmt.Errorf("%s: the reply does not fit %T: field %s", op, out, bad.Field)
		}
		return fmt.Errorf("%s: %w: its reply is not JSON", op, ErrTrapped)
	}
	if r.Err != nil {
		return r.Err
	}
	if r.OK == nil {
		return fmt.Errorf("%s: %w: its reply has neither ok nor err", op, ErrTrapped)
	}
	return nil
}

// exchange takes an instance, runs one call on it and puts it back, or throws it away if anything is wrong with it.
// use sees the reply in the instance's own memory and must not keep it.
func (e *Engine) exchange(ctx context.Context, op string, in []byte, use func(reply []byte) error) error {
	if err := e.pool.acquire(ctx); err != nil {
		return err
	}
	defer e.pool.release()

	e.calls.Add(1)
	// A call that has begun goes on when its caller leaves.
	running := context.WithoutCancel(ctx)
	inst, err := e.pool.take(running)
	if err != nil {
		return e.failed(op, err)
	}
	ptr, reply, err := inst.call(running, in)
	if err != nil {
		e.pool.drop(inst)
		return e.failed(op, err)
	}
	err = use(reply)
	if errors.Is(err, ErrTrapped) {
		e.pool.drop(inst)
		e.traps.Add(1)
		return err
	}
	if ferr := inst.free(running, ptr, len(reply)); ferr != nil {
		// The reply is whole and already used; only the instance is bad.
		e.pool.drop(inst)
		_ = e.failed(op, ferr)
		return err
	}
	e.pool.give(inst)
	return err
}

// failed counts and logs what went wrong inside the module and gives it its type. wazero's errors hold a stack of
// function names, no values.
func (e *Engine) failed(op string, err error) error {
	if errors.Is(err, errFuel) {
		e.late.Add(1)
		e.log.Error("core stopped at its deadline", "op", op, "deadline", e.deadline)
		return fmt.Errorf("%s: %w of %v", op, ErrDeadline, e.deadline)
	}
	e.traps.Add(1)
	e.log.Error("core trapped", "op", op, "trap", err.Error())
	return fmt.Errorf("%s: %w: %s", op, ErrTrapped, firstLine(err))
}
