// Package shim is the role that Mattermost starts: its hooks, in a line each, and the service kept alive behind
// them. It passes bytes on and looks at no mail, token or template. It imports the plugin SDK, the standard
// library and package link, and nothing else; imports_test.go holds that.
package shim

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/mattermost/mattermost/server/public/model"
	"github.com/mattermost/mattermost/server/public/plugin"

	"postroom/server/internal/link"
)

const (
	pluginID = "postroom"
	// readyWithin bounds OnActivate: a cold start takes 2 s, a first migration a little more.
	readyWithin = 30 * time.Second
	// endWithin bounds each of OnDeactivate's two steps, which an admin who switches the plugin off waits for.
	endWithin = 8 * time.Second
)

// Plugin is the shim. Mattermost makes one for each activation.
type Plugin struct {
	plugin.MattermostPlugin
	config  atomic.Pointer[config]
	keeper  *keeper
	forward *forwarder
	stop    context.CancelFunc
}

// OnActivate returns once the service takes requests, or says in its error, which Mattermost shows as the
// plugin's status, why it can't.
func (p *Plugin) OnActivate() error {
	if err := p.OnConfigurationChange(); err != nil {
		return err
	}
	keeper, err := newKeeper(p.API, func() []byte { return p.config.Load().settings })
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.keeper = keeper
	p.forward = newForwarder(p.API, keeper, &p.config)
	guard(p.API, "keeper", func() { keeper.run(ctx) })
	guard(p.API, "watch", func() { keeper.server.WhenGone(ctx, exit) })
	select {
	case err := <-keeper.first:
		if err != nil {
			stop()
			return err
		}
		if err := registerCommand(p.API, keeper); err != nil {
			p.API.LogError("the command /postroom could not be registered; disable the plugin and enable it again", "error", err.Error())
		}
		return nil
	case <-time.After(readyWithin):
		stop()
		return errors.New("the service did not become ready; its log is " + keeper.logFile())
	}
}

// OnDeactivate ends the service only if the plugin was switched off. On an upgrade the next shim takes it over;
// on a shutdown it ends when the server is gone. A service that Mattermost's mail can't be taken away from stays, so
// that the mail goes on.
func (p *Plugin) OnDeactivate() error {
	if p.keeper == nil {
		return nil
	}
	p.stop()
	if switchedOff(p.API.GetUnsanitizedConfig()) {
		ctx, cancel := context.WithTimeout(context.Background(), endWithin)
		defer cancel()
		if err := p.keeper.putBack(ctx); err != nil {
			p.API.LogError("the relay is still on, and goes on without the plugin until this server ends", "error", err.Error())
			return nil
		}
		// A time of its own, so that what was slow before does not cut off a service that gives its mails back.
		ending, done := context.WithTimeout(context.Background(), endWithin)
		defer done()
		p.keeper.end(ending)
	}
	return nil
}

// switchedOff reads the state as the RPC gives it: a pointer to false arrives as nil.
func switchedOff(cfg *model.Config) bool {
	settings := cfg.PluginSettings
	state := settings.PluginStates[pluginID]
	return settings.Enable == nil || !*settings.Enable || state == nil || !state.Enable
}

// OnConfigurationChange hands the new configuration on. Mattermost calls it before OnActivate too.
func (p *Plugin) OnConfigurationChange() error {
	next, err := readConfig(p.API)
	if err != nil {
		return err
	}
	p.config.Store(next)
	if p.keeper != nil {
		p.keeper.settingsChanged()
	}
	return nil
}

// UserHasBeenDeactivated has the service end the account's links. One that it does not hear of it finds by itself.
func (p *Plugin) UserHasBeenDeactivated(_ *plugin.Context, user *model.User) {
	if p.keeper != nil && user != nil {
		_ = p.keeper.post(context.Background(), link.PathDeactivated, []byte(user.Id))
	}
}

// ServeHTTP passes a request on to the service.
func (p *Plugin) ServeHTTP(ctx *plugin.Context, w http.ResponseWriter, r *http.Request) {
	defer func() {
		if what := recover(); what != nil {
			p.API.LogError("a request to the shim failed", "panic", fmt.Sprintf("%T", what))
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		}
	}()
	if p.forward == nil {
		http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
		return
	}
	p.forward.serve(ctx, w, r)
}

// guard runs f by itself, so that a panic in it is a line in the log and not one of the three deaths after
// which Mattermost gives a plugin up.
func guard(api plugin.API, name string, f func()) {
	go func() {
		for again := true; again; {
			again = func() (panicked bool) {
				defer func() {
					if what := recover(); what != nil {
						api.LogError("a part of the shim failed and is started again", "part", name, "panic", fmt.Sprint(what))
						time.Sleep(time.Second)
						panicked = true
					}
				}()
				f()
				return false
			}()
		}
	}()
}
