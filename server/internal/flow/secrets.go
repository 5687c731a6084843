package flow

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/engine"
	"postroom/server/internal/link"
	"postroom/server/internal/relay"
	"postroom/server/internal/store"
)

// What the relay's secrets are sealed under.
const (
	certificateName = "relay/certificate"
	credentialsName = "relay/credentials"
)

// RelaySecrets is what every node's relay has in common: Mattermost's settings, of which there is one set for all nodes,
// name the port and the credentials.
type RelaySecrets struct {
	Port        int
	Certificate tls.Certificate
	Credentials relay.Credentials // secret
	// Mark tells them from all others (store.Relay.Mark).
	Mark string
}

// ErrOtherKey is the answer where another node's secrets can't be opened here.
var ErrOtherKey = errors.New("the relay's secrets were sealed by another node under another AtRestEncryptKey; make SqlSettings.AtRestEncryptKey the same on every node, and restart this one")

// RelaySecrets reads them, and makes them at the very first start of the first node. Where they can't be opened, as
// AtRestEncryptKey has changed, others are made: with the password that Mattermost's settings have, where these name
// the relay, so that its mail goes on; where they do not, and other nodes are there, it is this one that differs
// (ErrOtherKey).
func (f *Flows) RelaySecrets(ctx context.Context) (*RelaySecrets, error) {
	state, err := f.Store.RelayState(ctx)
	if err != nil {
		return nil, err
	}
	if state == nil {
		port, err := relay.FreePort()
		if err != nil {
			return nil, err
		}
		certificate, credentials, err := f.newSecrets(ctx, nil)
		if err != nil {
			return nil, err
		}
		if state, err = f.Store.CreateRelay(ctx, port, certificate, credentials); err != nil {
			return nil, err
		}
	}
	secrets, err := f.openSecrets(ctx, state)
	var refused *engine.CoreError
	if err == nil || !errors.As(err, &refused) || refused.Code != "wrong_key" && refused.Code != "corrupt" {
		return secrets, err
	}
	keep := f.inUse(state)
	if keep == nil {
		nodes, err := f.Store.Nodes(ctx)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(nodes, func(node store.Node) bool { return node.Relay == state.Mark() }) {
			return nil, ErrOtherKey
		}
	}
	f.Log.Warn("the relay's certificate and credentials were sealed under another AtRestEncryptKey; new ones are made")
	return f.replaceSecrets(ctx, state, state.Port, keep)
}

// RelayMark is what the relay's secrets in the database are known by.
func (f *Flows) RelayMark(ctx context.Context) (string, error) {
	state, err := f.Store.RelayState(ctx)
	if err != nil || state == nil {
		return "", err
	}
	return state.Mark(), nil
}

// NewerRelaySecrets reads those that another node has put in the place of ours; ErrOtherKey where it has another key.
func (f *Flows) NewerRelaySecrets(ctx context.Context) (*RelaySecrets, error) {
	state, err := f.Store.RelayState(ctx)
	if err != nil {
		return nil, err
	}
	secrets, err := f.openSecrets(ctx, state)
	var refused *engine.CoreError
	if errors.As(err, &refused) {
		return nil, ErrOtherKey
	}
	return secrets, err
}

// MoveRelay gives the relay another port, and secrets that nobody has heard, after a stranger was found on its port. It
// is only for a relay that is off: where Mattermost's settings name it, they would name nothing then.
func (f *Flows) MoveRelay(ctx context.Context) (*RelaySecrets, error) {
	state, err := f.Store.RelayState(ctx)
	if err != nil {
		return nil, err
	}
	port, err := relay.FreePort()
	if err != nil {
		return nil, err
	}
	return f.replaceSecrets(ctx, state, port, nil)
}

// replaceSecrets makes others, with the credentials to keep where there are some; of several nodes one's stand.
func (f *Flows) replaceSecrets(ctx context.Context, read *store.Relay, port int, keep *relay.Credentials) (*RelaySecrets, error) {
	certificate, credentials, err := f.newSecrets(ctx, keep)
	if err != nil {
		return nil, err
	}
	state, err := f.Store.ReplaceRelaySecrets(ctx, read, port, certificate, credentials)
	if err != nil {
		return nil, err
	}
	return f.openSecrets(ctx, state)
}

// inUse are the credentials in Mattermost's own settings, where those name the relay; else nil.
func (f *Flows) inUse(state *store.Relay) *relay.Credentials {
	var have link.EmailSettings
	if json.Unmarshal(f.current.Load().saved, &have) != nil || have.SMTPServer != "127.0.0.1" ||
		have.SMTPPort != strconv.Itoa(state.Port) || have.SMTPUsername != relay.Username || have.SMTPPassword == "" {
		return nil
	}
	return &relay.Credentials{Username: have.SMTPUsername, Password: have.SMTPPassword}
}

// newSecrets are sealed; credentials are made where there are none to keep.
func (f *Flows) newSecrets(ctx context.Context, keep *relay.Credentials) (certificate, credentials []byte, err error) {
	both, err := relay.NewCertificate(time.Now())
	if err != nil {
		return nil, nil, err
	}
	if keep == nil {
		made, err := relay.NewCredentials()
		if err != nil {
			return nil, nil, err
		}
		keep = &made
	}
	text, err := json.Marshal(keep)
	if err != nil {
		return nil, nil, err
	}
	if certificate, err = f.seal(ctx, certificateName, both); err != nil {
		return nil, nil, err
	}
	credentials, err = f.seal(ctx, credentialsName, text)
	return certificate, credentials, err
}

func (f *Flows) openSecrets(ctx context.Context, state *store.Relay) (*RelaySecrets, error) {
	if state == nil {
		return nil, errors.New("the relay's row in the database is gone")
	}
	both, err := f.open(ctx, certificateName, state.Certificate)
	if err != nil {
		return nil, err
	}
	secrets := &RelaySecrets{Port: state.Port, Mark: state.Mark()}
	if secrets.Certificate, err = relay.Certificate(both); err != nil {
		return nil, err
	}
	text, err := f.open(ctx, credentialsName, state.Credentials)
	if err != nil {
		return nil, err
	}
	if json.Unmarshal(text, &secrets.Credentials) != nil {
		return nil, errors.New("the relay's credentials can't be read")
	}
	return secrets, nil
}

func (f *Flows) seal(ctx context.Context, name string, secret []byte) ([]byte, error) {
	var out core.SealSecretResult
	err := f.Engine.Call(ctx, core.OpSealSecret, time.Now(), core.SealSecretArgs{Key: f.current.Load().AtRestKey, Name: name, Secret: secret}, &out)
	return out.Sealed, err
}

func (f *Flows) open(ctx context.Context, name string, sealed []byte) ([]byte, error) {
	var out core.OpenSecretResult
	err := f.Engine.Call(ctx, core.OpOpenSecret, time.Now(), core.OpenSecretArgs{Key: f.current.Load().AtRestKey, Name: name, Sealed: sealed}, &out)
	return out.Secret, err
}
