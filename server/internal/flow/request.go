package flow

import (
	"context"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/limits"
	"postroom/server/internal/outbox"
)

// acceptWithin bounds the wait for the commit: the caller gets an answer within a second, database or not (R7).
const acceptWithin = 800 * time.Millisecond

// Request takes a request of a public endpoint ("reset" or "verify"): read, limited, one insert, answered. The
// account is looked up in the job, where nobody can time it.
func (f *Flows) Request(ctx context.Context, kind string, input Input, redirect *string, asker Asker) (Answer, error) {
	now, current := time.Now(), f.current.Load()
	var read core.ReadRequestResult
	err := f.Engine.Call(ctx, core.OpReadRequest, now, core.ReadRequestArgs{
		Endpoint: kind, Body: input.Body, TooLarge: input.TooLarge, Redirect: redirect, ClientAddress: asker.Address,
	}, &read)
	if err != nil || read.AppError != nil {
		return Answer{AppError: read.AppError}, err
	}
	allowed, err := f.Limits.Pass(ctx, now,
		limits.Rule{Key: "client " + read.ClientKey, PerWindow: current.LimitClientPerMinute, Window: time.Minute},
		limits.Rule{Key: "total", PerWindow: current.LimitTotalPerMinute, Window: time.Minute})
	if err != nil {
		return Answer{}, err
	}
	if !allowed {
		f.Log.Warn("a request was limited", "kind", kind, "client", read.ClientKey)
		return Answer{JSON: statusOK}, nil
	}
	within, cancel := context.WithTimeout(ctx, acceptWithin)
	defer cancel()
	err = f.Outbox.Accept(within, outbox.Request{
		Kind: kind, Email: read.Request.Email, Redirect: read.Request.Redirect, ClientAddress: asker.Address,
		UserAgent: asker.UserAgent, RequestID: asker.RequestID, UserID: asker.UserID, RequestedAt: now,
	})
	if err != nil {
		f.Log.Error("a request could not be accepted", "kind", kind, "error", err)
		return f.appError(ctx, "unavailable")
	}
	return Answer{JSON: statusOK}, nil
}
