package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// pool keeps instances of one module. A slot is the right to run; a caller with a slot takes an idle instance or
// starts one. The one used last is taken first, as its memory is warm.
type pool struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	fuel     int32 // for each call
	slots    chan struct{}
	closing  chan struct{}
	once     sync.Once

	mu   sync.Mutex
	idle []*instance
	live int
}

func newPool(r wazero.Runtime, m wazero.CompiledModule, size int, fuel int32) *pool {
	return &pool{runtime: r, compiled: m, fuel: fuel, slots: make(chan struct{}, size), closing: make(chan struct{})}
}

// acquire waits for a slot until ctx ends or the pool closes.
func (p *pool) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-p.closing:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	case p.slots <- struct{}{}:
	}
	select {
	case <-p.closing: // both were ready
		p.release()
		return ErrClosed
	default:
		return nil
	}
}

func (p *pool) release() { <-p.slots }

// drain refuses new callers and waits until those under way are out, by taking every slot for good.
func (p *pool) drain(ctx context.Context) error {
	p.once.Do(func() { close(p.closing) })
	for taken := range cap(p.slots) {
		select {
		case p.slots <- struct{}{}:
		case <-ctx.Done():
			for range taken {
				p.release() // for the next attempt
			}
			return ctx.Err()
		}
	}
	return nil
}

func (p *pool) alive() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.live
}

func (p *pool) take(ctx context.Context) (*instance, error) {
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		inst := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		inst.fuel.Set(api.EncodeI32(p.fuel))
		return inst, nil
	}
	p.live++
	p.mu.Unlock()
	inst, err := p.start(ctx)
	if err != nil {
		p.mu.Lock()
		p.live--
		p.mu.Unlock()
		return nil, err
	}
	return inst, nil
}

// give returns a healthy instance. Memory of WebAssembly never shrinks, so one that a large mail made grow is let go.
func (p *pool) give(inst *instance) {
	if inst.memory.Size() > inst.retain {
		p.drop(inst)
		return
	}
	p.mu.Lock()
	p.idle = append(p.idle, inst)
	p.mu.Unlock()
}

func (p *pool) drop(inst *instance) {
	_ = inst.module.Close(context.Background())
	p.mu.Lock()
	p.live--
	p.mu.Unlock()
}

// instance is one running copy of the core with its own memory. It serves one call at a time.
type instance struct {
	module                  api.Module
	memory                  api.Memory
	allocFn, freeFn, callFn api.Function
	fuel                    api.MutableGlobal
	retain                  uint32 // octets of memory above which it is not kept
}

// minRetain lets an instance keep 8 MiB, several times what a usual mail needs.
const minRetain = 8 << 20

func (p *pool) start(ctx context.Context) (*instance, error) {
	// No name, so that many can live side by side; no arguments, environment, files or output. It is started by
	// hand, as it has no fuel yet.
	m, err := p.runtime.InstantiateModule(ctx, p.compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return nil, fmt.Errorf("start an instance: %w", err)
	}
	inst := &instance{
		module: m, memory: m.ExportedMemory(exportMemory),
		allocFn: m.ExportedFunction(exportAlloc), freeFn: m.ExportedFunction(exportFree), callFn: m.ExportedFunction(exportCall),
		fuel: m.ExportedGlobal(exportFuel).(api.MutableGlobal),
	}
	inst.retain = max(minRetain, 4*inst.memory.Size())
	inst.fuel.Set(api.EncodeI32(p.fuel))
	if _, err := inst.run(ctx, m.ExportedFunction(exportInit)); err != nil {
		_ = m.Close(context.Background())
		return nil, fmt.Errorf("start an instance: %w", err)
	}
	return inst, nil
}

// errFuel: the call used up its fuel, and was stopped.
var errFuel = errors.New("out of fuel")

// run calls one export, and tells a call that ran out of fuel from one that trapped otherwise.
func (i *instance) run(ctx context.Context, f api.Function, params ...uint64) ([]uint64, error) {
	out, err := f.Call(ctx, params...)
	if err != nil && api.DecodeI32(i.fuel.Get()) < 0 {
		return nil, errFuel
	}
	return out, err
}

// call hands a request over and returns the reply as a view of the instance's memory, good until free.
func (i *instance) call(ctx context.Context, in []byte) (ptr uint32, reply []byte, err error) {
	var at uint64 // no buffer for an empty request
	if len(in) > 0 {
		r, err := i.run(ctx, i.allocFn, uint64(len(in)))
		if err != nil {
			return 0, nil, err
		}
		if at = r[0]; at == 0 || !i.memory.Write(uint32(at), in) {
			return 0, nil, errors.New("core_alloc gave a buffer outside its memory")
		}
	}
	r, err := i.run(ctx, i.callFn, at, uint64(len(in)))
	if err != nil {
		return 0, nil, err
	}
	ptr, length := uint32(r[0]>>32), uint32(r[0])
	reply, ok := i.memory.Read(ptr, length)
	if !ok || length == 0 {
		return 0, nil, errors.New("core_call gave a reply outside its memory")
	}
	return ptr, reply, nil
}

func (i *instance) free(ctx context.Context, ptr uint32, length int) error {
	_, err := i.run(ctx, i.freeFn, uint64(ptr), uint64(length))
	return err
}
