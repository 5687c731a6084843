package shim

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"

	"postroom/server/internal/link"
)

// holdRelay takes a copy of the relay's listening socket, where the service has one, and the way back. Whoever holds
// the socket keeps the port: while the service is started again, Mattermost's connections wait in its backlog, and
// no other process can take the port and the mail with it.
func (k *keeper) holdRelay(ctx context.Context) {
	file, err := link.FetchFile(k.dir)
	if err != nil && !errors.Is(err, link.ErrNoSocket) {
		k.api.LogWarn("the relay's socket could not be held by the shim too", "error", err.Error())
		return // what is held already stays
	}
	k.mutex.Lock()
	if k.relay != nil {
		_ = k.relay.Close()
	}
	k.relay = file
	k.mutex.Unlock()
	k.rememberOff(ctx)
}

// rememberOff keeps the way back; where the service can't say it, what it said last stays.
func (k *keeper) rememberOff(ctx context.Context) {
	off, err := k.askOff(ctx)
	if err != nil {
		if ctx.Err() == nil {
			k.api.LogWarn("the service did not say how Mattermost's mail is pointed back", "error", err.Error())
		}
		return
	}
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.off = off
}

func (k *keeper) heldRelay() *os.File {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	return k.relay
}

// askOff asks the service for the way back; nil while the relay is off.
func (k *keeper) askOff(ctx context.Context) (*link.Switch, error) {
	reply, err := k.ask(ctx, askWithin, http.MethodGet, link.PathOff, nil, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = reply.Body.Close() }()
	switch reply.StatusCode {
	case http.StatusOK:
		var off link.Switch
		return &off, json.NewDecoder(reply.Body).Decode(&off)
	case http.StatusNoContent:
		return nil, nil
	}
	return nil, errWayBack
}

// errWayBack is a service's that does not know it.
var errWayBack = errors.New("where Mattermost's mail went before the relay is not known; the log says why")

// putBack points Mattermost's mail where it went before, if the relay is on. It is for a plugin that is switched off.
func (k *keeper) putBack(ctx context.Context) error {
	off, err := k.askOff(ctx)
	if err != nil { // what it said last
		k.mutex.Lock()
		off = k.off
		k.mutex.Unlock()
	}
	switch {
	case off != nil:
		return k.carryOut(ctx, *off)
	case errors.Is(err, errWayBack):
		return err
	}
	return nil
}

// carryOut does a switch and tells the service what became of it.
func (k *keeper) carryOut(ctx context.Context, to link.Switch) error {
	outcome := link.Switched{On: to.On}
	err := switchMail(k.api, to)
	if err != nil {
		outcome.Error = err.Error()
		k.api.LogError("Mattermost's SMTP settings could not be changed; set them in System Console > Environment > SMTP", "error", err.Error())
	}
	if body, err := json.Marshal(outcome); err == nil {
		if err := k.post(ctx, link.PathSwitched, body); err != nil {
			k.api.LogWarn("the service was not told that the relay was switched", "error", err.Error())
		}
	}
	return err
}
