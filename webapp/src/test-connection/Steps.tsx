import type {Step} from '../client/types';

import {Icon} from './Icon';
import {durationOf, nameOf, STATES, stateOf} from './words';

/** What happened, step by step: its state, its time, the peer's words, and what to change. */
export function Steps({steps}: {steps: Step[]}) {
    return (
        <ol className='postroom-steps'>
            {steps.map((step) => {
                const state = stateOf(step);
                return (
                    <li
                        key={step.step}
                        className={`postroom-step postroom-${state}`}
                        data-step={step.step}
                        data-state={state}
                    >
                        <div className='postroom-step-head'>
                            <span className='postroom-state'>
                                <Icon state={state}/>
                                {STATES[state]}
                            </span>
                            <span className='postroom-step-name'>{nameOf(step.step)}</span>
                            {step.ms !== null && <span className='postroom-time'>{durationOf(step.ms)}</span>}
                        </div>
                        {step.said !== '' && <pre className='postroom-said'>{step.said}</pre>}
                        {step.advice !== '' && <p className='postroom-advice'>{step.advice}</p>}
                    </li>
                );
            })}
        </ol>
    );
}
