import {guarded, scriptAddress, whenInitialized} from './announce';
import {hasReact} from './react';
import {register} from './register';

guarded(() => {
    whenInitialized((registry) => {
        if (hasReact()) {
            register(registry, scriptAddress);
        }
    });
});
