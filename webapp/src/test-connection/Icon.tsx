import type {StepState} from '../client/types';

/** A state's sign: each has a shape of its own, so that none is told by its colour alone. The word stands beside it. */
const SHAPES: Record<StepState, string> = {
    ok: 'M3 8.5l3.5 3.5L13 4.5',
    warning: 'M8 2L15 14H1zM8 6.5v3.5M8 12v.5',
    failed: 'M4 4l8 8M12 4l-8 8',
    skipped: 'M4 8h8',
};

export function Icon({state}: {state: StepState}) {
    return (
        <svg
            className='postroom-icon'
            viewBox='0 0 16 16'
            width='16'
            height='16'
            fill='none'
            stroke='currentColor'
            strokeWidth='2'
            strokeLinecap='round'
            strokeLinejoin='round'
            aria-hidden='true'
            focusable='false'
        >
            <path d={SHAPES[state]}/>
        </svg>
    );
}
