// Every browser test, on one stage: a real server takes longer to start than they take.
import './pages.js';
import './console.js';
