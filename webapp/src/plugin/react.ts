/**
 * The host's React, in place of a copy of our own: the plugin's build takes this file for `react`. Each call looks it
 * up anew, so that loading the bundle does nothing that could fail.
 */
import type * as ReactTypes from 'react';

function react(): typeof ReactTypes {
    return (window as unknown as {React: typeof ReactTypes}).React;
}

/** Whether the host has what the components need. */
export function hasReact(): boolean {
    const found = (window as {React?: Partial<typeof ReactTypes>}).React;
    return typeof found?.createElement === 'function' && typeof found.useReducer === 'function';
}

export const useEffect: typeof ReactTypes.useEffect = (...args) => {
    react().useEffect(...args);
};
export const useRef = ((initial: unknown) => react().useRef(initial)) as typeof ReactTypes.useRef;
export const useState = ((initial: unknown) => react().useState(initial)) as typeof ReactTypes.useState;
export const useReducer = ((...args: Parameters<typeof ReactTypes.useReducer>) => react().useReducer(...args)) as typeof ReactTypes.useReducer;
export const createElement = ((...args: Parameters<typeof ReactTypes.createElement>) => react().createElement(...args)) as typeof ReactTypes.createElement;
export const fragment = (): typeof ReactTypes.Fragment => react().Fragment;
