package shim

import (
	"context"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/mattermost/mattermost/server/public/model"
	"github.com/mattermost/mattermost/server/public/plugin"

	"postroom/server/internal/link"
)

const (
	// tellWithin bounds what a scrape or a support packet waits for the service.
	tellWithin = 8 * time.Second
	// logTail is how much of the service's own log goes into a support packet.
	logTail = 256 << 10
)

// ServeMetrics passes a scrape on to the service. Where there is none the scrape fails, as it should.
func (p *Plugin) ServeMetrics(_ *plugin.Context, w http.ResponseWriter, r *http.Request) {
	if p.keeper == nil {
		http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
		return
	}
	header := http.Header{"Accept": r.Header.Values("Accept")}
	reply, err := p.keeper.ask(r.Context(), tellWithin, http.MethodGet, link.PathMetrics, header, nil)
	if err != nil {
		http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
		return
	}
	defer func() { _ = reply.Body.Close() }()
	w.Header().Set("Content-Type", reply.Header.Get("Content-Type"))
	w.WriteHeader(reply.StatusCode)
	_, _ = io.Copy(w, reply.Body)
}

// GenerateSupportData gives what the service knows of itself, and its log, which tells why there is no service.
func (p *Plugin) GenerateSupportData(*plugin.Context) ([]*model.FileData, error) {
	if p.keeper == nil {
		return nil, nil
	}
	var files []*model.FileData
	for path, name := range map[string]string{link.PathSupport: "support.json", link.PathMetrics: "metrics.txt"} {
		reply, err := p.keeper.ask(context.Background(), tellWithin, http.MethodGet, path, nil, nil)
		if err != nil {
			files = append(files, &model.FileData{Filename: pluginID + "/" + name + ".missing", Body: []byte("The service did not answer.\n")})
			continue
		}
		body, err := io.ReadAll(reply.Body)
		_ = reply.Body.Close()
		if err == nil {
			files = append(files, &model.FileData{Filename: pluginID + "/" + name, Body: body})
		}
	}
	if log, err := tail(p.keeper.logFile(), logTail); err == nil {
		files = append(files, &model.FileData{Filename: pluginID + "/service.log", Body: log})
	}
	return files, nil
}

// tail is the end of a file.
func tail(path string, most int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err == nil && info.Size() > most {
		if _, err := file.Seek(-most, io.SeekEnd); err != nil {
			return nil, err
		}
	}
	return io.ReadAll(io.LimitReader(file, most))
}
